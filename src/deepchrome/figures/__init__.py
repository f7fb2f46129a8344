"""Figures in one house style: arrays and tables in, pictures out. Knows nothing of torch."""
