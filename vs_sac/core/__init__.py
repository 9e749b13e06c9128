"""Code that every other folder may use: errors, choices, labels, clips, processes, outputs. Imports no other folder."""
