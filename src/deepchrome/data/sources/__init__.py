"""Where data come from: raw tables and archives, read into arrays. Knows nothing of models."""
