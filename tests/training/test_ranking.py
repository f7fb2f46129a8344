"""Ranking of many models at once against scikit-learn, one at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from deepchrome.training.ranking import FEW, auroc_batched
from scores import both_classes


@settings(max_examples=100)
@given(st.lists(both_classes, min_size=1, max_size=FEW + 1))
def test_batched_auroc_agrees_with_scikit_learn_whatever_the_padding(pairs):
    longest = max(len(label) for label, _ in pairs) + 2
    label, score = torch.zeros(len(pairs), longest), torch.full((len(pairs), longest), 9.0)
    mask = torch.zeros(len(pairs), longest, dtype=torch.bool)
    for i, (y, s) in enumerate(pairs):
        label[i, : len(y)], score[i, : len(y)] = torch.tensor(y), torch.tensor(s)
        label[i, len(y) :] = 1  # padding must not count
        mask[i, : len(y)] = True
    expected = np.array([sk.roc_auc_score(y, s) for y, s in pairs])
    for signed, wanted in ((score, expected), (-score, 1 - expected)):
        found = auroc_batched(label, signed, mask).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_batched_auroc_ranks_infinite_scores_and_both_zeros():
    label = torch.tensor([[1, 0, 1, 0, 1, 0]])
    score = torch.tensor([[-torch.inf, torch.inf, 0.0, -0.0, -0.0, -3e38]])
    found = auroc_batched(label, score, torch.ones_like(label, dtype=torch.bool))
    assert found.item() == pytest.approx(sk.roc_auc_score(label[0], [-9, 9, 0, 0, 0, -8]))
