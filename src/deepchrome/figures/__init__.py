"""Figures in one house style: arrays in, pictures out. Knows nothing of torch."""
