"""Simulated chromatin: a generative model, fitted on real data, and reads that give its counts."""
