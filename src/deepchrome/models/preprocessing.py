"""From read counts to what a network sees."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from deepchrome.params import ModelParams


@dataclass(frozen=True)
class Preprocessing:
    """Reduce each mark over its bins (or not), transform, standardize (or not), in this order.

    reduce: None, "max", "sum", "mean", "median" or "min". transform: "counts" (as they are) or
    "log1p". standardize: subtract each mark's mean and divide by its standard deviation over the
    **training** genes of the cell type, so a prediction depends on no other gene (the authors'
    code divides by the maximum of the current batch).
    """

    reduce: str | None
    transform: str
    standardize: bool

    @classmethod
    def of(cls, params: ModelParams) -> "Preprocessing":
        return cls(params.reduce, params.input, params.standardize)

    def features(self, X: Tensor) -> Tensor:
        """Map counts, shape=(genes, bins, marks), to float32 of the same shape, bins 1 if reduced.

        Each gene on its own, so it can be computed once for a whole data set.
        """
        x = X.float()
        match self.reduce:
            case "max":
                x = x.amax(-2, keepdim=True)
            case "min":
                x = x.amin(-2, keepdim=True)
            case "sum":
                x = x.sum(-2, keepdim=True)
            case "mean":
                x = x.mean(-2, keepdim=True)
            case "median":  # of an even number of bins: between the middle two
                middle = (x.shape[-2] - 1) // 2
                ordered = x.sort(-2).values
                x = ordered[..., middle : x.shape[-2] // 2 + 1, :].mean(-2, keepdim=True)
        return x.log1p() if self.transform == "log1p" else x

    def fit(self, parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Return shift and scale, each float32 of shape=(marks,), from training examples.

        parts: their features, piece by piece, each of shape=(genes, bins, marks).
        """
        n, total, squares = 0, torch.zeros(()), torch.zeros(())
        for features in parts:
            flat = features.flatten(0, -2).double()
            n += len(flat)
            total, squares = total + flat.sum(0), squares + (flat * flat).sum(0)
            if not self.standardize:
                return torch.zeros(features.shape[-1]), torch.ones(features.shape[-1])
        mean = total / n
        scale = (squares / n - mean**2).clamp(min=0).sqrt()
        scale[scale < 1e-6 * mean.abs().clamp(min=1)] = 1  # a constant mark carries nothing
        return mean.float().cpu(), scale.float().cpu()
