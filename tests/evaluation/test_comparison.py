"""The verdict on a pair of models, in words."""

from types import SimpleNamespace

import numpy as np
import pytest

from deepchrome.evaluation import comparison


def pair(low, high, p_holm, n_cells=8):
    middle = (low + high) / 2
    return SimpleNamespace(first="a", second="b", n_cells=n_cells, difference=middle, low=low,
                           high=high, p_holm=p_holm)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "word", "sentence"),
    [
        (pair(-0.003, 0.007, 1), "equivalent",
         "a and b are equivalent within 0.01 AUROC on 8 cell types (difference 0.002, 95% CI "
         "-0.003 to 0.007)"),
        (pair(0.001, 0.007, 0.012), "equivalent",
         "a and b are equivalent within 0.01 AUROC on 8 cell types, though a scores 0.004 higher "
         "(95% CI 0.001 to 0.007, p=0.012 corrected for 3 pairs)"),
        (pair(0.0001, 0.0003, 0.0002), "equivalent",
         "a and b are equivalent within 0.01 AUROC on 8 cell types, though a scores 0.0002 higher "
         "(95% CI 0.0001 to 0.0003, p<0.001 corrected for 3 pairs)"),
        (pair(0.001, 0.007, 0.2), "equivalent",
         "a and b are equivalent within 0.01 AUROC on 8 cell types (difference 0.004, 95% CI 0.001 "
         "to 0.007)"),
        (pair(0.004, 0.02, 0.012), "better",
         "a is better than b on 8 cell types (difference 0.012 AUROC, 95% CI 0.004 to 0.020, "
         "p=0.012 corrected for 3 pairs)"),
        (pair(0.001, 0.02, 0.06), "undecided",
         "a and b: undecided: the difference of 0.011 AUROC on 8 cell types (95% CI 0.001 to "
         "0.020) may be chance (p=0.06 corrected for 3 pairs)"),
        (pair(-0.0004, 0.02, 1), "undecided",
         "a and b: undecided: n too small (difference 0.010 AUROC, 95% CI 0.000 to 0.020, 8 cell "
         "types, 1,000 test genes)"),
        (pair(-0.002, 0.012, 1), "undecided",
         "a and b: undecided: n too small (difference 0.005 AUROC, 95% CI -0.002 to 0.012, 8 cell "
         "types, 1,000 test genes)"),
        (pair(-0.012, 0.008, 1), "undecided",
         "a and b: undecided: n too small (difference -0.002 AUROC, 95% CI -0.012 to 0.008, 8 cell "
         "types, 1,000 test genes)"),
        (pair(-np.inf, np.inf, 1, 1), "undecided",
         "a and b: undecided: n too small (difference - AUROC on 1 cell type, which says nothing "
         "of others)"),
    ],
)  # fmt: skip
def test_verdicts(one, word, sentence):
    assert comparison.verdict(one, 3, 1000, 0.01) == (word, sentence)
