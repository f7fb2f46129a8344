"""AttentiveChrome (Singh et al. 2017): attention over the bins of each mark, then over the marks.

It shows where it looks: see `Model.attention`.
"""

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """A bidirectional LSTM along a sequence and a weighted mean of what it says at each step.

    A step's weight is the softmax over steps of its product with a learnt context vector.
    """

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, bidirectional=True, batch_first=True)
        self.context = nn.Parameter(torch.empty(2 * hidden))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean, shape=(genes, 2 * hidden), and the weights, shape=(genes, steps).

        x: shape=(genes, steps, inputs).
        """
        h, _ = self.lstm(x)
        weights = (h @ self.context).softmax(1)
        return (weights[:, None] @ h).squeeze(1), weights


class Model(nn.Module):
    """Bins of each mark -> LSTM (32 each way), attention; marks -> LSTM (16), attention -> 1.

    hidden: the size of each direction of the LSTMs over bins; half of it over marks.
    """

    def __init__(self, bins: int, marks: int, *, hidden: int = 32):
        super().__init__()
        # on CPUs nn.LSTM is twice as fast as one loop over bins with all marks' products batched
        self.bins = nn.ModuleList(Encoder(1, hidden) for _ in range(marks))
        self.marks = Encoder(2 * hidden, hidden // 2)
        self.output = nn.Linear(2 * (hidden // 2), 1)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)  # as published

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self._encode(x)[0])

    def attention(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return how much each bin of a mark counts, and how much each mark.

        Shapes (genes, marks, bins) and (genes, marks); each sums to 1 over its last axis.
        """
        return self._encode(x)[1:]

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean over marks, shape=(genes, 2 * (hidden // 2)), and both attentions."""
        signals = x[..., None].unbind(2)  # of each mark: (genes, bins, 1)
        encoded = [encoder(signal) for encoder, signal in zip(self.bins, signals, strict=True)]
        means, bin_attention = (torch.stack(parts, 1) for parts in zip(*encoded, strict=True))
        mean, mark_attention = self.marks(means)
        return mean, bin_attention, mark_attention
