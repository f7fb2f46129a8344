"""Activation maximisation: optima that are known, and what is counted and compared of maps."""

import numpy as np
import pytest
import torch

from deepchrome.interpretation import maximisation

WEIGHT = torch.zeros(100, 5)
WEIGHT[40:60, 3], WEIGHT[:, 0] = 0.3, -0.1


def score(x: torch.Tensor) -> torch.Tensor:
    return (x * WEIGHT).sum((1, 2)) + 0.5


def test_the_optimum_of_a_linear_model():
    high = torch.tensor([True, True, False])
    start = torch.rand(3, 100, 5, generator=torch.Generator().manual_seed(0))
    before = start.clone()
    found = maximisation.maximise(score, start, high, penalty=0.01, steps=800)
    assert torch.equal(start, before)
    assert found.min() == 0
    # where the gradient vanishes: x = max(0, +-weight) P(other class) / (2 penalty)
    sign = torch.where(high, 1.0, -1.0)
    wrong = (-sign * score(found)).sigmoid()
    expected = (sign[:, None, None] * WEIGHT).clamp(min=0) * (wrong / 0.02)[:, None, None]
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.05)


def test_a_stronger_penalty_makes_fainter_maps():
    high, start = torch.tensor([True]), torch.ones(1, 100, 5)
    norms = [
        maximisation.maximise(score, start, high, penalty=penalty).norm()
        for penalty in (0.001, 0.01, 0.1)
    ]
    assert norms[0] > norms[1] > norms[2] > 0


def test_latent_vectors_reach_the_optimum_and_stay_likely():
    draws = torch.Generator().manual_seed(1)
    basis = torch.randn(6, 500, generator=draws) * 0.05

    def generate(z):
        return 3 + (z @ basis).view(-1, 100, 5)

    start = torch.randn(4, 6, generator=draws)
    high = torch.tensor([True, True, False, False])
    z, maps = maximisation.maximise_latent(score, generate, start, high, steps=400)
    torch.testing.assert_close(maps, generate(z).clamp(min=0))
    # where the gradient vanishes, as long as no signal is cut at 0: whatever the start
    sign = torch.where(high, 1.0, -1.0)
    wrong = (-sign * score(maps)).sigmoid()
    expected = (sign * wrong)[:, None] * (basis @ WEIGHT.ravel())
    torch.testing.assert_close(z, expected, atol=0.02, rtol=0.05)
    assert (z.norm(dim=1) < start.norm(dim=1)).all()


def test_mark_frequency_counts_bins_above_a_quarter_of_the_maximum():
    maps = np.zeros((2, 100, 5))
    maps[0, 10:15, 3] = 4.0
    maps[0, 0:7, 1] = 1.1
    maps[0, 50:60, 4] = 1.0  # exactly a quarter is not above it
    assert maximisation.mark_frequency(maps).tolist() == [[0, 7, 0, 5, 0], [0, 0, 0, 0, 0]]


def test_distances():
    rng = np.random.default_rng(0)
    train = rng.gamma(1, 1, (30, 100, 5)).astype(np.float32)
    found = maximisation.distances(np.stack([train[4], train[4] + 3]), train)
    assert found[0] == pytest.approx(0, abs=1e-2)
    assert found[1] > 10
    # the order of bins within a kilobase does not count
    shuffled = train[4].reshape(10, 10, 5)[:, ::-1].reshape(1, 100, 5)
    assert maximisation.distances(shuffled, train) == pytest.approx(0, abs=1e-2)
    means = maximisation.region_means(train)
    assert means.shape == (30, 50)
    assert means[4, 7 * 5 + 3] == pytest.approx(train[4, 70:80, 3].mean(), rel=1e-5)
