"""The generator's network: what is drawn of its output, and with which gradient."""

import numpy as np
import pytest
import torch

from deepchrome.interpretation.network import read_out


def test_a_poisson_draw_has_the_gradient_of_its_mean():
    """Averaged over draws, d E[count] / d log rate is the rate itself."""
    torch.manual_seed(0)
    for rate in (0.5, 3.0, 40.0):
        log_rate = torch.full((40_000,), np.log(rate)).requires_grad_()
        counts = torch.expm1(read_out(log_rate, "counts"))
        assert torch.equal(counts.round(), counts.detach().round())
        assert counts.mean().item() == pytest.approx(rate, rel=0.03)
        counts.mean().backward()
        assert log_rate.grad.sum().item() == pytest.approx(rate, rel=0.03)


def test_signal_is_not_rounded_and_not_negative():
    output = torch.tensor([-1.0, 0.3, 2.0], requires_grad=True)
    drawn = read_out(output, "signal")
    assert drawn.tolist() == pytest.approx([0, 0.3, 2.0])
    drawn.sum().backward()
    assert output.grad.tolist() == [0, 1, 1]
