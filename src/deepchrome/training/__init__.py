"""Many networks trained at once, and what they leave on disk."""
