"""A trained generator, written and read: what genes of a label and a cell type look like."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from deepchrome import MARKS, N_BINS
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.interpretation.network import LATENT, Network, conditions, expected, generate
from deepchrome.training.store import read_folder, write_folder


class _Settings(BaseModel):
    model_config = ConfigDict(strict=True)

    seed: int


class _Info(BaseModel):
    """What the code reads of a generator's `model.json`; there may be more keys."""

    model_config = ConfigDict(strict=True)

    cells: list[str]
    values: Literal["counts", "signal"]
    state: Literal["trained", "collapsed", "diverged"]
    finite: bool
    dataset: str
    settings: _Settings
    weights_sha256: str


class Generator:
    """A trained generator, read from `models/gan` and checked.

    `cells`: the cell types it was trained on. `latent`: the size of a latent vector. `state`:
    "trained", or "collapsed" or "diverged", whose signals mean nothing.
    Raises DeepChromeError where a file is missing or damaged, or where the two do not fit.
    """

    latent = LATENT

    def __init__(self, path: str | Path, device: torch.device | None = None):
        self.path = Path(path)
        self.device = device or torch.device("cpu")
        self.info, tensors = read_folder(self.path, "gan", _Info)
        self.cells: list[str] = self.info["cells"]
        self.values: str = self.info["values"]
        self.state: str = self.info["state"]
        self.network = Network(torch.zeros(2 * len(self.cells), N_BINS, len(MARKS)))
        try:
            self.network.load_state_dict(tensors)
        except RuntimeError:
            raise DeepChromeError(
                f"{self.path}: weights.safetensors does not hold a generator for the "
                f"{len(self.cells)} cell types that model.json names. "
                "Were the two files written by different runs?"
            ) from None
        self.network.to(self.device).eval().requires_grad_(False)

    def index(self, cell: str) -> int:
        """Return a cell type's position, or say which there are."""
        if cell not in self.cells:
            raise DeepChromeError(
                f"{self.path}: the generator does not know cell type {cell!r}"
                f"{nearest(cell, self.cells)} It has {listing(self.cells, 60)}."
            )
        return self.cells.index(cell)

    def log_counts(self, z: Tensor, label: Tensor, cell: Tensor) -> Tensor:
        """Return log1p of the expected counts, float32, shape=(n, bins, marks), differentiable.

        z: latent vectors, shape=(n, latent). label: 0 or 1, int64, shape=(n,). cell: positions in
        `cells`, int64, shape=(n,).
        """
        return expected(self.network(z, conditions(label, cell)), self.values)

    def between(self, z: Tensor, cell: int, share: float) -> Tensor:
        """Return log1p of expected counts part of the way from low to high; shape as `log_counts`.

        share: 0 is low, 1 is high; the label's embedding and profile are interpolated. cell: a
        position in `cells`.
        """
        rows = conditions(torch.tensor([0, 1]), torch.tensor(cell)).to(z.device)
        weight = torch.tensor([1 - share, share], dtype=torch.float32, device=z.device)
        condition = weight @ self.network.condition(rows)
        profile = torch.tensordot(weight, self.network.profile[rows], 1)
        shape = self.network.shape(z, condition.expand(len(z), -1))
        return expected(profile + shape, self.values)

    @torch.no_grad()
    def way(self, cell: int, genes: int, frames: int) -> np.ndarray:
        """Return expected log signals on the way from low to high.

        A few latent vectors stay as they are while the condition moves. cell: a position in
        `cells`. Returns shape=(frames, genes, bins, marks).
        """
        random = torch.Generator().manual_seed(self.info["settings"]["seed"])
        z = torch.randn(genes, self.latent, generator=random).to(self.device)
        shares = np.linspace(0, 1, frames)
        return np.stack([self.between(z, cell, share).cpu().numpy() for share in shares])

    def sample(self, cell: str, label: np.ndarray, seed: int) -> np.ndarray:
        """Generate signals, shape=(genes, bins, marks): uint16 counts, or float32 signal.

        label: shape=(genes,), the label of each.
        """
        position = self.index(cell)
        condition = conditions(
            torch.as_tensor(np.asarray(label, np.int64)),
            torch.full((len(label),), position),
        ).to(self.device)
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(seed)
            return generate(self.network, condition, self.values)


def save(path: Path, network: Network, info: dict[str, Any]) -> None:
    """Write the generator: its weights and what `Generator` needs to know."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_folder(path, tensors, info)
