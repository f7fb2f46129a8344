"""TransformChrome (2021): self-attention among bins, then two dense layers."""

import math

import torch
from torch import Tensor, nn


class Model(nn.Module):
    """Each bin's 5 marks -> 64 and its position, one encoder layer of 8 heads -> 100 -> 1.

    dropout: everywhere the authors have it, the attention weights included.
    """

    def __init__(
        self,
        bins: int,
        marks: int,
        *,
        width: int = 64,
        heads: int = 8,
        feed_forward: int = 128,
        dropout: float = 0.5,
    ):
        super().__init__()
        if min(width, heads) < 1 or width % 2 or width % heads:
            raise ValueError(
                f"found width {width} and {heads} heads, expected a multiple of 2 and of heads"
            )
        self.embedding = nn.Linear(marks, width)
        self.scale = math.sqrt(bins)  # as published, where others take the width
        self.register_buffer("positions", positions(bins, width), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.attention = SelfAttention(width, heads, dropout)
        self.norm_attention = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feed_forward, width),
        )
        self.norm_feed_forward = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(bins * width, 100),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(100, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.dropout(self.embedding(x) * self.scale + self.positions)  # (genes, bins, width)
        h = self.norm_attention(h + self.dropout(self.attention(h)))
        h = self.norm_feed_forward(h + self.dropout(self.feed_forward(h)))
        return self.dense(h.flatten(1))


class SelfAttention(nn.Module):
    """Multi-head attention of each bin to all: nn.MultiheadAttention in operators vmap can batch.

    The same parameters and initial distribution. nn.TransformerEncoderLayer has a fast path in
    evaluation mode without gradients, and what it calls otherwise is batched one by one on CPUs.
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.inputs.weight)
        nn.init.zeros_(self.inputs.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map x of shape=(genes, bins, width) to the same shape."""
        heads = self.inputs(x).unflatten(2, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each (genes, heads, bins, width / heads)
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(2, 3)
        attended = self.dropout(scores.softmax(3)) @ value
        return self.output(attended.transpose(1, 2).flatten(2))


def positions(bins: int, width: int) -> Tensor:
    """Return the sinusoidal encoding of each bin, shape=(bins, width) (Vaswani et al. 2017).

    Columns 2i and 2i + 1 hold the sine and cosine of bin / 10000^(2i / width).
    """
    if torch.get_default_device().type == "meta":  # shapes alone; there sines import a compiler
        return torch.empty(bins, width)
    frequencies = 10_000 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(bins)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1).float()
