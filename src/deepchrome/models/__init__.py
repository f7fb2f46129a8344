"""Architectures, one a file: `models/<architecture>.py` defines `class Model(nn.Module)`.

`Model(bins, marks, **options)` maps x of shape=(genes, bins, marks) to logits of
shape=(genes, 2) for low and high, or (genes, 1) for high. It is an ordinary module for one cell
type; the engine trains many at once. It may hold constant buffers, but none that training changes.
What `forward` does must depend on x and on torch's random numbers alone, as the engine may record a
step's operators once and run them again.
"""

import importlib
import inspect
import pkgutil
from typing import Any

import torch
from torch import Tensor, nn

from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.params import ModelParams


class Dropout(nn.Dropout):
    """nn.Dropout from uniform random numbers; on a CPU torch draws its own far slower."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.is_cuda or self.p in (0, 1):
            return super().forward(x)
        # 1 where the number is at least p, else 0: comparing, and numbers from bool, take longer
        kept = torch.rand_like(x).add_(1 - self.p).floor_()
        return x * kept.div_(1 - self.p)


def architectures() -> list[str]:
    """Return the names of all architectures: the files of this package, but `preprocessing`."""
    names = {module.name for module in pkgutil.iter_modules(__path__)}
    return sorted(names - {"preprocessing"})


def build(architecture: str, bins: int, marks: int, options: dict[str, Any]) -> nn.Module:
    """Make one network.

    Raises DeepChromeError for an unknown architecture, option or value.
    """
    if architecture not in architectures():
        raise DeepChromeError(
            f"architecture: found {architecture!r}, expected one of "
            f"{listing(architectures(), 20)}{nearest(architecture, architectures())}"
        )
    model = importlib.import_module(f"{__name__}.{architecture}").Model
    allowed = [name for name in inspect.signature(model).parameters if name not in _GIVEN]
    for name in options:
        if name not in allowed:
            raise DeepChromeError(
                f"options.{name}: unknown option of architecture {architecture}"
                f"{nearest(name, allowed)} (allowed: {listing(allowed, 20) or 'none'})"
            )
    try:
        return model(bins, marks, **options)
    except (TypeError, ValueError) as error:
        raise DeepChromeError(f"options of architecture {architecture}: {error}") from None


_GIVEN = ("bins", "marks")


def check(models: dict[str, ModelParams], bins: int, marks: int) -> None:
    """Build every variant of params.yaml once, so that a wrong one is found before training."""
    for name, params in models.items():
        try:
            build(params.architecture, 1 if params.reduce else bins, marks, params.options)
        except DeepChromeError as error:
            raise DeepChromeError(f"params.yaml: models.{name}.{error}") from None


def n_parameters(model: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def margin(logits: Tensor) -> Tensor:
    """Return the log-odds of high, shape=(genes,), from logits of shape=(genes, 1 or 2)."""
    if logits.shape[-1] == 1:
        return logits[..., 0]
    # not by indices, nor along the last axis: its gradient is then two rows, copied as such
    low, high = logits.movedim(-1, 0).unbind()
    return high - low
