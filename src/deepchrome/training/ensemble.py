"""Many networks of one architecture as one: stacked weights, their outputs and gradients."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from deepchrome.models import Dropout, margin
from deepchrome.params import ModelParams
from deepchrome.training.jobs import Job
from deepchrome.training.network import can_batch, initial_weights, network

KEY_STEP = 0x3C6EF373
"""What a dropout key grows by at each step; being odd, its multiples visit all of 32 bits."""


class Ensemble:
    """The networks of several jobs: each weight has shape=(jobs, *its own shape).

    Weights, dropout and so what a network becomes follow from its job alone, whoever is beside it.
    precision: as for `fit.fit`.
    """

    def __init__(
        self,
        params: ModelParams,
        jobs: Sequence[Job],
        device: torch.device,
        precision: str = "float32",
    ):
        self.base, self.device = network(params).to(device), device
        self.bfloat16 = precision == "bfloat16"
        self.batched = can_batch(params)
        """Whether vmap takes the network; otherwise they run one after the other."""
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
        drawn = [initial_weights(params, job.stream("weights")) for job in jobs]
        self.weights = {
            name: torch.stack([weights[name] for weights in drawn]).to(device) for name in drawn[0]
        }
        self.dropouts = {n: m for n, m in self.base.named_modules() if isinstance(m, Dropout)}
        keys = [[job.stream(f"dropout/{name}") % 2**31 for job in jobs] for name in self.dropouts]
        self.keys = torch.tensor(keys, dtype=torch.int32).view(-1, len(jobs)).to(device)
        """Of each dropout layer and job, at this step."""

    def leaves(self) -> dict[str, Tensor]:
        """Return the weights as tensors to differentiate by, in the same memory.

        Those of a single network have no axis of jobs: plain operators are faster than batched
        ones.
        """
        one = len(self) == 1
        rows = {name: weight[0] if one else weight for name, weight in self.weights.items()}
        return {name: weight.detach().requires_grad_() for name, weight in rows.items()}

    def output(self, x: Tensor, leaves: dict[str, Tensor], training: bool) -> Tensor:
        """Return the log-odds of high, shape=(jobs, genes), of x, (jobs, genes, bins, marks).

        leaves: what `leaves` returned.
        """
        self.base.train(training)
        for module in self.dropouts.values():
            module.calls = 0
        keys = {f"{name}.key": key for name, key in zip(self.dropouts, self.keys, strict=True)}
        if len(self) == 1:
            return self._one(leaves | {name: key[0] for name, key in keys.items()}, x[0])[None]
        given = leaves | keys
        if self.batched:
            return vmap(self._one)(given, x)
        of_each = ({name: tensor[k] for name, tensor in given.items()} for k in range(len(self)))
        return torch.stack([self._one(*one) for one in zip(of_each, x, strict=True)])

    def next_keys(self) -> None:
        """Drop other units at the next step."""
        if self.dropouts:
            self.keys.add_(KEY_STEP)

    def _one(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        if not self.bfloat16:
            return margin(functional_call(self.base, weights, (x,)))
        with torch.autocast(self.device.type, torch.bfloat16):
            return margin(functional_call(self.base, weights, (x,))).float()

    def __len__(self) -> int:
        return len(next(iter(self.weights.values())))

    def weights_of(self, i: int) -> dict[str, np.ndarray]:
        """Return a copy of one job's weights."""
        return {name: weight[i].cpu().numpy().copy() for name, weight in self.weights.items()}

    def keep(self, kept: list[int]) -> None:
        """Drop all jobs but those at these places."""
        self.weights = {name: weight[kept] for name, weight in self.weights.items()}
        self.keys = self.keys[:, kept]


class _Sloping(torch.autograd.Function):
    """A number, without a meaning of its own, with a given gradient with respect to a tensor.

    `torch.autograd.grad` takes the gradient of a tensor too, but imports SymPy for it, which takes
    half a second in each process.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return tensor.new_zeros(())

    @staticmethod
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0], None


def backward(output: Tensor, slope: Tensor, leaves: dict[str, Tensor]) -> Sequence[Tensor]:
    """Return the gradient of a loss by each leaf; slope: the loss's derivative by the output."""
    return torch.autograd.grad(_Sloping.apply(output, slope), list(leaves.values()))
