"""The fully connected network of DeepChrome 2.0: no notion of neighbouring bins."""

from torch import Tensor, nn


class Model(nn.Module):
    """bins x marks -> 2048 -> 1024 -> 625 -> 125 -> 2, dropout after the second layer."""

    def __init__(self, bins: int, marks: int, *, dropout: float = 0.5):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(bins * marks, 2048),
            nn.ReLU(),
            nn.Linear(2048, 1024),  # no activation here, as published
            nn.Dropout(dropout),
            nn.Linear(1024, 625),
            nn.ReLU(),
            nn.Linear(625, 125),
            nn.ReLU(),
            nn.Linear(125, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(1))
