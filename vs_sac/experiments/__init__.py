"""Experiments: what a model, a codec or a setting is worth on labelled driving data."""
