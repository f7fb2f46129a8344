"""Jobs: the networks to train, and what becomes of them."""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from deepchrome.errors import DeepChromeError


@dataclass(frozen=True)
class Job:
    """One network to train.

    name: a cell type, or a training set's own name. seed: of its random numbers. cells: the cell
    types whose genes it learns from; by default the one that it is named after. examples: how many
    of their training genes, drawn at random; None takes all.
    """

    name: str
    seed: int
    cells: tuple[str, ...] = ()
    examples: int | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The cell types whose genes it learns from."""
        return self.cells or (self.name,)

    def stream(self, purpose: str) -> int:
        """Return a seed of this job's own for one purpose, the same whoever trains beside it."""
        key = zlib.crc32(f"{self.name}/{purpose}".encode())
        return int(np.random.SeedSequence([self.seed, key]).generate_state(1, np.uint64)[0] >> 1)

    def training_genes(self, sizes: Mapping[str, int]) -> int:
        """Return how many genes it learns from in an epoch, given those of each cell type."""
        all_of_them = sum(sizes[cell] for cell in self.sources)
        return all_of_them if self.examples is None else min(self.examples, all_of_them)


@dataclass
class TrainedNetwork:
    """What a job ends with: the weights of its best epoch and how it got there.

    weights: by parameter name. shift, scale: of the standardization, shape=(marks,). history: a row
    for each epoch: epoch, train_loss, valid_auroc.
    """

    job: Job
    weights: dict[str, np.ndarray]
    shift: np.ndarray
    scale: np.ndarray
    best_epoch: int = 0
    valid_auroc: float = -math.inf
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch of a group, for progress bars and TensorBoard.

    genes_seen: training genes that were computed on; 0 where the epoch was computed earlier.
    genes_left: at most, those that the group's models would still see without an early stop. going:
    the jobs that have not stopped.
    """

    epoch: int
    jobs: list[Job]
    train_loss: list[float]
    valid_auroc: list[float]
    genes_seen: int = 0
    genes_left: int = 0
    going: Sequence[Job] = ()


def replay(networks: Sequence[TrainedNetwork]) -> Iterator[Epoch]:
    """Report again the epochs of networks that were trained earlier."""
    for epoch in range(1, max((len(one.history) for one in networks), default=0) + 1):
        still = [one for one in networks if len(one.history) >= epoch]
        rows = [one.history[epoch - 1] for one in still]
        yield Epoch(
            epoch,
            [one.job for one in still],
            [row["train_loss"] for row in rows],
            [row["valid_auroc"] for row in rows],
        )


def choose_device(name: str) -> torch.device:
    """Return the device: "auto" takes a GPU where there is one.

    Raises DeepChromeError for "cuda" without one, and for any other name.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise DeepChromeError(f"device: found {name!r}, expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeepChromeError(
            "device: cuda: no CUDA GPU is available here; set device: auto or device: cpu"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
