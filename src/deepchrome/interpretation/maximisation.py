"""Activation maximisation: the signal that a model takes for the most high, or the most low.

Without constraint, as DeepChrome did in 2016, the optimum is a pattern that excites the network and
that no gene has. With a generator the optimum is sought among the signals it can make: the latent
vector is optimised, with a penalty for being an unlikely one.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from deepchrome.interpretation.log_odds import Score

PENALTY = 0.009
"""Weight of the squared norm, as in DeepChrome's published code (7_viz.lua)."""

ACTIVE = 0.25
"""Share of a map's maximum above which a bin counts as active (DeepChrome 2016)."""

REGIONS = 10
"""Parts of the window in which maps are compared: a kilobase each."""


def maximise(
    score: Score,
    start: Tensor,
    high: Tensor,
    *,
    penalty: float = PENALTY,
    steps: int = 200,
    rate: float = 0.05,
) -> Tensor:
    """Optimise log signals for a class: the smallest ones that make the model sure of it.

    Minimises -log P(class) + penalty * squared norm with Adam. DeepChrome 2016 has the same
    objective on raw counts and drops negative values at the end; here they are never allowed.
    start: log signals >= 0, shape=(maps, bins, marks). high: bool, shape=(maps,), the class of
    each. Returns log signals of the shape of start.
    """
    x = start.detach().clone().requires_grad_()
    sign = torch.where(high, 1.0, -1.0)
    optimizer = torch.optim.Adam([x], lr=rate)
    for _ in range(steps):
        loss = softplus(-sign * score(x)).sum() + penalty * x.square().sum()
        (x.grad,) = torch.autograd.grad(loss, x)
        optimizer.step()
        with torch.no_grad():
            x.clamp_(min=0)
    return x.detach()


def maximise_latent(
    score: Score,
    generate: Callable[[Tensor], Tensor],
    start: Tensor,
    high: Tensor,
    *,
    steps: int = 100,
    rate: float = 0.05,
) -> tuple[Tensor, Tensor]:
    """Optimise latent vectors for a class: the likeliest ones that make the model sure of it.

    Minimises -log P(class) of what the generator makes of them + half their squared norm, which is
    -log of their normal density. (To keep their length instead does not do: a vector as long as
    random ones that points all one way is many standard deviations out, and so is its signal.)
    generate: log signals, shape=(maps, bins, marks), of latent vectors. start: shape=(maps,
    latent). high: bool, shape=(maps,). Returns the vectors and their log signals.
    """
    z = start.detach().clone().requires_grad_()
    sign = torch.where(high, 1.0, -1.0)
    optimizer = torch.optim.Adam([z], lr=rate)
    for _ in range(steps):
        loss = softplus(-sign * score(generate(z).clamp(min=0))).sum() + z.square().sum() / 2
        (z.grad,) = torch.autograd.grad(loss, z)
        optimizer.step()
    with torch.no_grad():
        return z.detach(), generate(z).clamp(min=0)


def mark_frequency(maps: np.ndarray, active: float = ACTIVE) -> np.ndarray:
    """Count the active bins of each mark, as DeepChrome 2016 summarises its maps.

    A bin is active above `active` of the map's maximum. maps: shape=(maps, bins, marks). Returns
    shape=(maps, marks). In the paper a mark is active where its count is above the marks' mean.
    """
    largest = maps.max((1, 2), keepdims=True)
    return ((maps > active * largest) & (maps > 0)).sum(1)


def region_means(x: np.ndarray, regions: int = REGIONS) -> np.ndarray:
    """Return the mean log signal of each mark in equal regions, shape=(genes, regions * marks)."""
    parts = np.array_split(x, regions, axis=1)
    return np.concatenate([part.mean(1) for part in parts], axis=1)


def distances(maps: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return how far each map is from the training gene most like it, shape=(maps,).

    Between the regions' mean log signals, in their standard deviations over training genes, so
    that neither the noise of single bins counts nor its absence. maps, train: log signals,
    shape=(..., bins, marks).
    """
    reference = region_means(train)
    sd = reference.std(0)
    sd[sd < 1e-6] = 1
    a, b = (torch.from_numpy(one / sd).float() for one in (region_means(maps), reference))
    return torch.cdist(a, b).min(1).values.numpy()
