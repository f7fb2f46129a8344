"""SGD and AdamW on the stacked weights of an ensemble, and the learning rate at each step."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.optim.adamw import adamw

from deepchrome.params import ModelParams
from deepchrome.training.ensemble import Ensemble

MIN_LEARNING_RATE = 1e-6
"""Where cosine annealing ends (DeepChrome 2.0)."""


class Optimizer:
    """SGD or AdamW on stacked weights: one step for all jobs.

    torch.optim.AdamW calls the same fused kernel, but imports torch's compiler first, which takes
    two seconds in each process. Weight decay is decoupled from the gradient (Loshchilov and Hutter
    2019); for SGD that makes no difference.
    """

    def __init__(self, ensemble: Ensemble, params: ModelParams):
        self.params, weights = params, ensemble.weights
        moments = ("first", "second") if params.optimizer == "adam" else ()
        self.moments = {
            moment: {name: torch.zeros_like(weight) for name, weight in weights.items()}
            for moment in moments
        }
        device = ensemble.device
        self.steps = [torch.zeros((), device=device) for _ in weights] if moments else []
        # on a CPU the fused kernel reads a rate as a double
        double = device.type == "cpu" and params.optimizer == "adam"
        self.rate_type = torch.float64 if double else torch.float32

    @torch.no_grad()
    def step(self, weights: dict[str, Tensor], gradients: Sequence[Tensor], rate: Tensor) -> None:
        """Take one step, in place. rate: shape=(), of the type `rate_type`."""
        leaves, decay = list(weights.values()), self.params.weight_decay
        if self.params.optimizer == "sgd":  # faster than torch's fused SGD
            for leaf, gradient in zip(leaves, gradients, strict=True):
                if decay:
                    leaf.mul_(1 - rate * decay)
                leaf.addcmul_(gradient, rate, value=-1)
            return
        first, second = (
            [named[name].view_as(leaf) for name, leaf in weights.items()]
            for named in self.moments.values()
        )
        # the fused kernel reads memory in order, which a gradient need not be in
        adamw(
            leaves,
            [gradient.contiguous() for gradient in gradients],
            first,
            second,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=decay,
            eps=1e-8,
            maximize=False,
        )

    def keep(self, kept: list[int]) -> None:
        """Drop all jobs but those at these places."""
        for named in self.moments.values():
            for name in named:
                named[name] = named[name][kept]


def state(ensemble: Ensemble, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return by name every tensor that a step changes, in its place."""
    tensors = {"keys": ensemble.keys}
    for part, named in {"weights": ensemble.weights, **optimizer.moments}.items():
        tensors |= {f"{part}.{name}": tensor for name, tensor in named.items()}
    return tensors | {f"steps.{i}": count for i, count in enumerate(optimizer.steps)}


def learning_rates(params: ModelParams, epoch: int, steps: int) -> np.ndarray:
    """Return the learning rate at each step of an epoch, float64, shape=(steps,).

    epoch: from 1. steps: an epoch has, which set the pace of annealing.
    """
    if params.schedule == "constant":
        return np.full(steps, params.learning_rate)
    done = (epoch - 1 + np.arange(steps) / steps) / params.epochs
    span = params.learning_rate - MIN_LEARNING_RATE
    return MIN_LEARNING_RATE + span * (1 + np.cos(np.pi * done.clip(0, 1))) / 2
