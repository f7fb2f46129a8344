"""Training and validation genes of a group of jobs, on the device that trains."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError
from deepchrome.models.preprocessing import Preprocessing
from deepchrome.params import ModelParams
from deepchrome.training.jobs import Job

PIECE = 1024
"""Genes whose features are computed at a time."""


class Examples:
    """Training and validation genes of several cell types. Each example: a gene in a cell type.

    Counts lie on the device as uint16 (signal as float32) and become a network's input batch by
    batch; what a reduction leaves of them (one number a mark) is computed once.
    """

    def __init__(self, cells: Mapping[str, CellType], params: ModelParams, device: torch.device):
        self.preprocessing = Preprocessing.of(params)
        self.rows: dict[str, dict[str, np.ndarray]] = {}
        x, y = [], []
        start = 0
        for name, every in cells.items():
            cell = every.without("test")
            self.rows[name] = {}
            for split in ("train", "valid"):
                mine = np.flatnonzero(cell.split == split)
                if len(np.unique(cell.y[mine])) < 2:
                    raise DeepChromeError(
                        f"{name}: the {split} split has {len(mine)} genes, all of one class; "
                        "expected high and low genes"
                    )
                self.rows[name][split] = start + mine
            start += len(cell.y)
            counts = torch.from_numpy(cell.X)
            if params.reduce:  # in pieces that fit a CPU's caches
                x += [self.preprocessing.features(part) for part in counts.split(PIECE)]
            else:
                x.append(counts)
            y.append(torch.from_numpy(cell.y).float())
        # few operators take uint16; those that copy take its bits as int16
        self.counts = not params.reduce and x[0].dtype == torch.uint16
        joined = torch.cat([part.view(torch.int16) if self.counts else part for part in x])
        if params.reduce:  # one row a mark: a CPU gathers, standardizes and multiplies it faster
            joined = joined.squeeze(1).T.contiguous()
        self.x, self.y = joined.to(device), torch.cat(y).to(device)

    def of(self, job: Job, split: str) -> np.ndarray:
        """Return the rows of a job's examples, int64."""
        rows = np.concatenate([self.rows[cell][split] for cell in job.sources])
        if split == "valid" or job.examples is None:
            return rows
        rng = np.random.default_rng(job.stream("examples"))
        # in their own order, as where a cell type's rows lie depends on who trains beside it
        return rows[np.sort(rng.choice(len(rows), min(job.examples, len(rows)), replace=False))]

    def labels(self, rows: Tensor) -> Tensor:
        """Return 1 for high and 0 for low, float32 of the shape of rows."""
        return self.y.index_select(0, rows.flatten()).view(rows.shape)

    def features(self, rows: Tensor) -> Tensor:
        """Return features before standardization, shape=(*rows.shape, bins, marks).

        rows: shape=(genes,) or (..., jobs, genes).
        """
        if self.preprocessing.reduce:
            # job by job, as a job's examples lie close together
            by_job = rows.movedim(-2, 0) if rows.dim() > 1 else rows[None]
            x = self.x.index_select(1, by_job.flatten()).unflatten(1, by_job.shape)
            return x.movedim((0, 1), (-1, -3)).reshape(*rows.shape, 1, len(x))
        x = self.x.index_select(0, rows.flatten())
        x = self.preprocessing.features(x.view(torch.uint16) if self.counts else x)
        return x.unflatten(0, rows.shape)

    def scale(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Fit shift and scale of each mark on some examples."""
        parts = torch.from_numpy(rows).to(self.x.device).split(PIECE)
        return self.preprocessing.fit(self.features(part) for part in parts)


class Batches:
    """What each job of a group learns from and is validated on, as stacked tensors.

    All jobs take as many steps an epoch. filled, weight: shape=(steps, jobs, batch): 1 where a
    batch has an example, and each example's weight in its job's mean loss. valid, valid_y,
    valid_mask: shape=(jobs, genes), padded to the longest. Raises ValueError where jobs take
    different numbers of steps.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        cells: Mapping[str, CellType],
        params: ModelParams,
        device: torch.device,
    ):
        self.device, self.batch_size = device, params.batch_size
        self.examples = Examples(cells, params, device)
        self.train_rows = [self.examples.of(job, "train") for job in jobs]
        self.order = [np.random.default_rng(job.stream("batches")) for job in jobs]
        """The generator of each job's batch order."""
        self.sizes = np.array([len(rows) for rows in self.train_rows])
        steps = np.unique(-(-self.sizes // self.batch_size))
        if len(steps) > 1:
            raise ValueError(f"found jobs of {steps.tolist()} steps an epoch, expected as many")
        self.steps = int(steps[0])
        scales = [self.examples.scale(rows) for rows in self.train_rows]
        self.shift = torch.stack([shift for shift, _ in scales]).to(device)
        self.scale = torch.stack([scale for _, scale in scales]).to(device)
        filled = np.arange(self.steps * self.batch_size) < self.sizes[:, None]
        self.filled = torch.from_numpy(self._by_step(filled.astype(np.float32))).to(device)
        self.weight = self.filled / self.filled.sum(-1, keepdim=True)
        valid = [self.examples.of(job, "valid") for job in jobs]
        padded = np.zeros((len(jobs), max(len(rows) for rows in valid)), np.int64)
        mask = np.zeros(padded.shape, bool)
        for i, rows in enumerate(valid):
            padded[i, : len(rows)] = rows
            mask[i, : len(rows)] = True
        self.valid = torch.from_numpy(padded).to(device)
        self.valid_mask = torch.from_numpy(mask).to(device)
        self.valid_y = self.examples.labels(self.valid)
        self._valid_inputs: Tensor | None = None

    def draw(self) -> Tensor:
        """Return the examples of an epoch in a new order, int64, shape=(steps, jobs, batch)."""
        index = np.zeros((len(self.order), self.steps * self.batch_size), np.int64)
        for i, (generator, rows) in enumerate(zip(self.order, self.train_rows, strict=True)):
            index[i, : len(rows)] = generator.permutation(rows)
        return torch.from_numpy(self._by_step(index)).to(self.device)

    def inputs(self, rows: Tensor) -> Tensor:
        """Return standardized features of examples, shape=(..., jobs, genes, bins, marks).

        rows: shape=(..., jobs, genes).
        """
        x = self.examples.features(rows)
        if self.examples.preprocessing.standardize:
            x.sub_(self.shift[:, None, None]).div_(self.scale[:, None, None])
        return x

    def valid_inputs(self) -> Tensor:
        """Return the inputs of all validation genes, kept for the next epoch."""
        if self._valid_inputs is None:
            self._valid_inputs = self.inputs(self.valid)
        return self._valid_inputs

    def keep(self, kept: list[int]) -> None:
        """Drop all jobs but those at these places."""
        self._valid_inputs = None
        self.train_rows = [self.train_rows[i] for i in kept]
        self.order = [self.order[i] for i in kept]
        self.sizes = self.sizes[kept]
        at = torch.tensor(kept, device=self.device, dtype=torch.int64)
        self.shift, self.scale = self.shift[at], self.scale[at]
        self.filled, self.weight = self.filled[:, at], self.weight[:, at]
        self.valid, self.valid_y = self.valid[at], self.valid_y[at]
        self.valid_mask = self.valid_mask[at]

    def _by_step(self, of_jobs: np.ndarray) -> np.ndarray:
        """Cut rows of jobs into batches: shape=(jobs, places) to (steps, jobs, batch)."""
        cut = of_jobs.reshape(len(of_jobs), self.steps, self.batch_size)
        return cut.swapaxes(0, 1).copy()
