"""The generator's network: a latent vector, a label and a cell type -> the signal of a gene.

It makes the log of expected reads, of 100 bins x 5 marks; reads are drawn from these, whole numbers
like the real ones. A condition is a label and a cell type together.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from deepchrome import MARKS, N_BINS

LATENT = 64
"""Size of a latent vector."""

HIDDEN = 256
CONDITION = 32
NOISE_CHANNELS = 8
NOISE_WIDTH = 7

LOWEST, HIGHEST = -7.0, 9.0
"""Bounds of the log of expected reads."""

COUNT_LIMIT = np.iinfo(np.uint16).max


class Network(nn.Module):
    """The generator: latent vector, label and cell type -> log of expected reads (or signal).

    A profile for each condition, plus what two hidden layers make of the latent vector, plus noise
    of single bins that a convolution spreads over their neighbours. start: the profiles to begin
    with, shape=(conditions, bins, marks).
    """

    def __init__(self, start: Tensor):
        super().__init__()
        self.condition = nn.Embedding(len(start), CONDITION)
        self.layers = nn.Sequential(
            nn.Linear(LATENT + CONDITION, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, HIDDEN),
            nn.LeakyReLU(0.2),
            nn.Linear(HIDDEN, N_BINS * len(MARKS)),
        )
        self.noise = nn.Conv1d(
            NOISE_CHANNELS, len(MARKS), NOISE_WIDTH, padding=NOISE_WIDTH // 2, bias=False
        )
        self.profile = nn.Parameter(start.clone())

    def forward(self, z: Tensor, condition: Tensor, noise: Tensor | None = None) -> Tensor:
        """Return shape=(genes, bins, marks).

        z: shape=(genes, LATENT). condition: shape=(genes,), int64. noise: of single bins, shape=
        (genes, NOISE_CHANNELS, bins), standard normal; None for what is expected without it.
        """
        h = self.shape(z, self.condition(condition))
        if noise is not None:
            h = h + self.noise(noise).transpose(1, 2)
        return self.profile[condition] + h

    def shape(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return what the latent vector adds to the profile, shape=(genes, bins, marks).

        condition: embedded, shape=(genes, CONDITION).
        """
        h = self.layers(torch.cat([z, condition], 1))
        return h.unflatten(1, (len(MARKS), N_BINS)).transpose(1, 2)

    def draw(self, condition: Tensor) -> Tensor:
        """Draw latent vectors and noise, and return what the network makes of them."""
        n, device = len(condition), condition.device
        noise = torch.randn(n, NOISE_CHANNELS, N_BINS, device=device)
        return self(torch.randn(n, LATENT, device=device), condition, noise)


def expected(log_rate: Tensor, values: str) -> Tensor:
    """Return log1p of what is expected, from the network's output. values: counts or signal."""
    return softplus(log_rate) if values == "counts" else relu(log_rate)


def read_out(log_rate: Tensor, values: str) -> Tensor:
    """Return log1p of drawn values, shape as `log_rate`, with a gradient.

    Counts are drawn from a Poisson distribution. With the draw written as rate + sqrt(rate) * e and
    e held fixed, d count / d log rate is (count + rate) / 2; that is the gradient here.
    """
    if values == "signal":
        return relu(log_rate)
    log_rate = log_rate.clamp(LOWEST, HIGHEST)
    with torch.no_grad():
        rate = log_rate.exp().nan_to_num()  # the result is no number then, which is told
        counts = torch.poisson(rate)
        slope = (counts + rate) / (2 * (1 + counts))
    return counts.log1p() + slope * (log_rate - log_rate.detach())


def conditions(label: Tensor, cell: Tensor) -> Tensor:
    """Return one number for a label (0 or 1) and a cell type's position: 2 * cell + label."""
    return 2 * cell + label


@torch.no_grad()
def generate(network: Network, condition: Tensor, values: str) -> np.ndarray:
    """Draw one signal for each condition: shape=(genes, bins, marks), uint16 or float32."""
    parts = [torch.expm1(read_out(network.draw(c), values)) for c in condition.split(2048)]
    drawn = torch.cat(parts).cpu()
    if values == "signal":
        return drawn.numpy()
    return drawn.round().clamp(max=COUNT_LIMIT).numpy().astype(np.uint16)
