"""What is learned from: raw layouts, the dataset, splits and what is expected of them."""
