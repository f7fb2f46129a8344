"""What the models see: generated signals, activation maximisation, attribution."""
