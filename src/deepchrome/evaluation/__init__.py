"""How well models predict, and what that tells: arrays in, numbers out. Knows nothing of torch."""
