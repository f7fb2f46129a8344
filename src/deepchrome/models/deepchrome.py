"""DeepChrome (Singh et al. 2016): a convolution over bins, then three dense layers."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class Largest(torch.autograd.Function):
    """`h.amax(0)`, with the same gradient: ties share it.

    torch's own gradient of amax turns a mask of bool into numbers twice; on a CPU that takes longer
    than the convolution.
    """

    @staticmethod
    def forward(h: Tensor) -> Tensor:
        return h.amax(0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], h: Tensor) -> tuple[Tensor, int]:
        return Largest.apply(h.movedim(in_dims[0], 1)), 0

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        h, largest = ctx.saved_tensors
        share = torch.eq(h, largest, out=torch.empty_like(h))  # as numbers, not as bool
        return share.mul_(gradient / share.sum(0))


class Model(nn.Module):
    """Windows of 10 bins x 5 marks -> 50 filters, pooled over 5 windows, -> 625 -> 125 -> 2.

    pooling: "max" (2016) or "average" (what DeepChrome 2.0 trained as its baseline).
    stride: of the convolution, in bins. dropout: before the dense layers.
    """

    def __init__(
        self,
        bins: int,
        marks: int,
        *,
        filters: int = 50,
        width: int = 10,
        stride: int = 1,
        pool: int = 5,
        pooling: str = "max",
        dropout: float = 0.5,
    ):
        super().__init__()
        if pooling not in ("max", "average"):
            raise ValueError(f"pooling: found {pooling!r}, expected 'max' or 'average'")
        if bins < width * pool:
            raise ValueError(f"found {bins} bins, expected at least {width * pool}")
        self.width, self.stride, self.pool, self.pooling = width, stride, pool, pooling
        self.pooled = ((bins - width) // stride + 1) // pool
        # a convolution written as one matrix product over windows: the same parameters and initial
        # distribution as nn.Conv1d, but faster on CPUs and batched over cell types by vmap
        self.convolution = nn.Linear(width * marks, filters)  # weights: mark by mark
        self.dense = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(filters * self.pooled, 625),
            nn.ReLU(),
            nn.Linear(625, 125),
            nn.ReLU(),
            nn.Linear(125, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        used = (self.pooled * self.pool - 1) * self.stride + self.width
        windows = x[:, :used].unfold(1, self.width, self.stride)  # a view: ..., marks, width
        # bin by bin, as they lie in memory, windows are copied ten times as fast; one product over
        # copies beats a product for each gene over windows that overlap in memory; and where those
        # that are pooled lie far apart, pooling goes through memory in order
        windows = windows.transpose(2, 3).unflatten(1, (self.pooled, self.pool)).movedim(2, 0)
        windows = windows.flatten(3).contiguous()  # (pool, genes, pooled, width * marks)
        weight = self.convolution.weight.unflatten(1, (-1, self.width)).transpose(1, 2).flatten(1)
        h = linear(windows, weight)  # (pool, genes, pooled, filters)
        if self.pooling == "max":  # adding and rectifying keep the order: do both on the maximum
            h = (Largest.apply(h) + self.convolution.bias).relu()
        else:
            h = (h + self.convolution.bias).relu().mean(0)
        return self.dense(h.flatten(1))
