"""Calibration stage: a model and images in, ranges of its activations out."""
