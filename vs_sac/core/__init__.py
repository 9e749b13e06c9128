"""What every other folder may use: errors, choices, labels, clips, processes and outputs. Imports nothing above it."""
