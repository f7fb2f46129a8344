"""Architectures, one a file: `models/<architecture>.py` defines `class Model(nn.Module)`.

`Model(bins, marks, **options)` maps x of shape=(genes, bins, marks) to logits of
shape=(genes, 2) for low and high, or (genes, 1) for high. It is an ordinary module for one cell
type; the engine trains many at once. Random numbers come from nn.Dropout alone. Buffers are
constants, registered with persistent=False; a gene's score depends on no other gene (so no
BatchNorm), and what `forward` does on x alone, as the engine may record a step's operators once and
run them again. `training.network` refuses a network that breaks one of these rules.
"""

import importlib
import inspect
import pkgutil
from typing import Any

import torch
from torch import Tensor, nn

from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.params import ModelParams


class Dropout(nn.Module):
    """nn.Dropout whose mask follows from a key alone; `build` puts it in the place of nn.Dropout.

    An architecture uses nn.Dropout. torch draws one stream of random numbers for all networks that
    train together, so what a network forgets would depend on its company. Here each number is a
    hash of the key, its row and its column; the key is a buffer, another for each network and step
    (`training.ensemble`). Rows and columns are mixed by Wellons' lowbias32, their exclusive or by
    one more round of it.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.calls = 0
        """Of this forward pass, so that a layer that is used twice drops other units each time."""
        self.key: Tensor
        self.register_buffer("key", torch.zeros((), dtype=torch.int32), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.p == 1:
            return x * 0
        key = self.key + _int32(self.calls * 0x9E3779B9)
        self.calls += 1
        columns = x.shape[-1]
        rows = x.numel() // max(columns, 1)
        places = torch.arange(rows + columns, dtype=torch.int32, device=x.device)
        of_row, of_column = _mixed(places * _int32(0x85EBCA6B) + key).split([rows, columns])
        words = (of_row[:, None] ^ of_column) * _ROUND[0]
        words = (words.bitwise_right_shift(15) ^ words) * _ROUND[1]
        # 1 where a uniform number in [0, 1) is at least p, else 0, without bool, which takes longer
        kept = (words.float() * 2.0**-32).add_(1.5 - self.p).floor_()
        return x * kept.mul_(1 / (1 - self.p)).view(x.shape)


def _int32(value: int) -> int:
    """Return what 32 bits make of a whole number."""
    return (value + 2**31) % 2**32 - 2**31


_ROUND = _int32(0x7FEB352D), _int32(0x846CA68B)


def _mixed(x: Tensor) -> Tensor:
    """Hash int32 numbers one by one."""
    x = (x ^ (x.bitwise_right_shift(16) & 0xFFFF)) * _ROUND[0]
    x = (x ^ (x.bitwise_right_shift(15) & 0x1FFFF)) * _ROUND[1]
    return x ^ (x.bitwise_right_shift(16) & 0xFFFF)


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
        network = model(bins, marks, **options)
    except (TypeError, ValueError) as error:
        raise DeepChromeError(f"options of architecture {architecture}: {error}") from None
    return with_keyed_dropout(network)


def with_keyed_dropout(network: nn.Module) -> nn.Module:
    """Put a `Dropout` in the place of every nn.Dropout of a network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p))
    return network


_GIVEN = ("bins", "marks")

MAX_PARAMETERS = 100_000_000
"""Of a network; the largest in params.yaml has 4 million."""


def check(models: dict[str, ModelParams], bins: int, marks: int) -> None:
    """Try every variant of params.yaml on two genes of zeros: a wrong one is found before work.

    Raises DeepChromeError for an unknown architecture or option, for one that does not fit bins and
    marks, and for a network of more than MAX_PARAMETERS.
    """
    for name, params in models.items():
        where = f"params.yaml: models.{name}."
        steps = 1 if params.reduce else bins
        try:
            with torch.device("meta"):  # no memory
                parameters = n_parameters(build(params.architecture, steps, marks, params.options))
            if parameters > MAX_PARAMETERS:
                raise DeepChromeError(
                    f"options: found {params.options}, a network of {parameters:,} parameters, "
                    f"expected {MAX_PARAMETERS:,} at most"
                )
            # on the meta device an LSTM takes a second
            with torch.random.fork_rng(devices=[]), torch.inference_mode():
                network = build(params.architecture, steps, marks, params.options)
                network(torch.zeros(2, steps, marks))
        except DeepChromeError as error:
            raise DeepChromeError(f"{where}{error}") from None
        except (RuntimeError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            said = str(error).partition("\n")[0]
            raise DeepChromeError(
                f"{where}options: found {params.options}, of which architecture "
                f"{params.architecture} makes no network for {steps} bins and {marks} marks: {said}"
            ) from None


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
