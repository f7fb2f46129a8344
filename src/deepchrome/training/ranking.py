"""How well many models rank genes, all at once, on their device."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

FEW = 8
"""Models ranked at a time on a CPU: memory for all is got from the system again for each step."""


def auroc_batched(label: Tensor, score: Tensor, mask: Tensor) -> Tensor:
    """AUROC of many models at once, on their device; ties count half.

    label, score, mask: shape=(models, genes); only genes where mask is true count.
    Returns float64 of shape=(models,); NaN where a class is absent.
    """
    if score.is_cpu and len(score) > FEW:
        parts = zip(*(tensor.split(FEW) for tensor in (label, score, mask)), strict=True)
        return torch.cat([auroc_batched(*part) for part in parts])
    high = (label == 1) & mask
    # As a double a score has bits to spare: the lowest holds its label, so that sorting one sorts
    # the other. It must be finite, and -0 equal to 0; padding sorts last and counts in no class.
    keys = score.float().double().clamp(-(2.0**200), 2.0**200).add_(0.0)
    keys.masked_fill_(~mask, torch.inf).view(torch.int64).bitwise_or_(high)
    # NumPy sorts faster on a CPU
    keys = torch.from_numpy(np.sort(keys.numpy())) if keys.is_cpu else keys.sort().values
    bits = keys.view(torch.int64)
    value = bits >> 1
    end = torch.ones_like(value)  # 1 where a run of equal scores ends
    end[:, :-1] = value[:, 1:] != value[:, :-1]
    # high and low genes up to each place
    highs = (bits & 1).cumsum(-1)
    lows = torch.arange(1, end.shape[-1] + 1, device=end.device) - highs

    def before(up_to: Tensor) -> Tensor:
        """Return the number at the end of the run before."""
        return pad((up_to * end).cummax(-1).values[:, :-1], (1, 0))

    # at the end of each run: its high genes, times twice the low genes that they beat
    beaten = (highs - before(highs)) * (lows + before(lows)) * end
    positives = highs[:, -1].double()
    return beaten.sum(-1).double() / 2 / (positives * (mask.sum(-1) - positives))
