"""Experiments: comparison of the methods on footage, and the paper's tables next to ours."""
