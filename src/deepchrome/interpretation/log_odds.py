"""A trained model's log-odds of high as a differentiable function of log signals."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor
from torch.func import functional_call

from deepchrome.models import margin
from deepchrome.training.store import NETWORK, Models

Score = Callable[[Tensor], Tensor]
"""Log-odds of high, shape=(genes,), of log signals, shape=(genes, bins, marks); differentiable."""


def weights_of(models: Models, cell: str, seed: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return one model's weights, by the names of its network, and its input's shift and scale.

    seed: its position in `models.seeds`.
    """
    at = models.index(cell), seed
    own = {name.removeprefix(NETWORK): tensor[at] for name, tensor in models.tensors.items()}
    shift, scale = own.pop("shift"), own.pop("scale")
    return own, shift, scale


def scorer(models: Models, cell: str, seed: int, weights: dict[str, Tensor] | None = None) -> Score:
    """Return one model's log-odds as a function of log signals.

    seed: its position in `models.seeds`. weights: other ones for its network; its own if None.
    """
    own, shift, scale = weights_of(models, cell, seed)
    weights = own if weights is None else weights
    # functional_call puts weights into the network while it runs: threads must not share one
    network = deepcopy(models.network)

    def score(x: Tensor) -> Tensor:
        features = (models.preprocessing.features(x.expm1()) - shift) / scale
        # cuDNN's LSTM has gradients in training mode only
        with torch.backends.cudnn.flags(enabled=False):
            return margin(functional_call(network, weights, (features,)))

    return score
