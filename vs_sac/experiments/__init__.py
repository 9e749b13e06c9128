"""Experiments: what a model is worth, what the methods do on footage, and the paper's tables beside ours."""
