"""DeepChrome: how histone modifications around a gene's TSS predict its expression."""

__version__ = "0.1.0"

MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")
"""The five histone marks, in the order in which every array and table holds them."""

N_BINS = 100
"""Bins of one gene."""

BIN_WIDTH = 100
"""Base pairs of one bin: bin b covers [TSS - 5000 + 100 (b - 1), TSS - 5000 + 100 b)."""

SPLITS = ("train", "valid", "test")
