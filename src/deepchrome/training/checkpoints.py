"""Unfinished training on disk, so that an interrupted run goes on where it was.

They lie in the project's `.cache/train`, which is no output of a stage: DVC does not touch it, and
a queued experiment, which runs in a temporary copy, finds it by DVC_ROOT.
"""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from deepchrome.files import remove
from deepchrome.training.jobs import Job, TrainedNetwork

KEPT_SECONDS = 14 * 24 * 3600
"""How long the checkpoints of an interrupted run wait for it to go on. A run that goes on writes
them anew all the time."""


@dataclass(frozen=True)
class Saved:
    """A group's training as a checkpoint holds it. Everything is found by a job's key, not place.

    rows: keys of the jobs that the ensemble held, in its order; going: which had not stopped.
    """

    tensors: dict[str, Tensor]
    epoch: int
    rows: list[str]
    going: list[bool]
    order: list[dict[str, Any]]
    results: dict[str, dict[str, Any]]

    def restore(
        self,
        networks: dict[str, TrainedNetwork],
        order: Sequence[np.random.Generator],
        tensors: dict[str, Tensor],
    ) -> None:
        """Put networks (by key), generators and tensors of `rows` into the state of then."""
        for name, tensor in tensors.items():
            tensor.copy_(self.tensors[name])
        for generator, state in zip(order, self.order, strict=True):
            generator.bit_generator.state = state
        for key, one in networks.items():
            for name, value in self.results[key].items():
                setattr(one, name, value)
            best = f"best.{key}."
            one.weights = {
                name.removeprefix(best): tensor.numpy()
                for name, tensor in self.tensors.items()
                if name.startswith(best)
            }


@dataclass(frozen=True)
class Checkpoints:
    """One file for each group of jobs that train together, written whole or not at all.

    keys: `job_key` of every job. seconds: the time between two checkpoints of a group.
    """

    keys: dict[Job, str]
    seconds: float

    @property
    def folder(self) -> Path:
        """Where the run's checkpoints lie."""
        run = hashlib.sha256("".join(sorted(self.keys.values())).encode()).hexdigest()[:16]
        return Path(os.environ.get("DVC_ROOT", ".")) / ".cache" / "train" / run

    def path(self, jobs: Sequence[Job]) -> Path:
        """Return the file of a group."""
        digest = hashlib.sha256("".join(sorted(self.keys[job] for job in jobs)).encode())
        return self.folder / f"{digest.hexdigest()[:16]}.safetensors"

    def load(self, jobs: Sequence[Job]) -> Saved | None:
        """Return a group's last checkpoint; None without a whole one."""
        try:
            with safe_open(self.path(jobs), "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return Saved(tensors, **json.loads(file.metadata()["state"]))
        except (FileNotFoundError, SafetensorError, KeyError, TypeError, json.JSONDecodeError):
            return None

    def save(
        self,
        jobs: Sequence[Job],
        epoch: int,
        rows: Sequence[Job],
        going: Sequence[bool],
        order: Sequence[np.random.Generator],
        networks: Sequence[TrainedNetwork],
        tensors: dict[str, Tensor],
    ) -> None:
        """Replace a group's checkpoint."""
        written = {name: tensor.contiguous() for name, tensor in tensors.items()}
        results = {}
        for one in networks:
            key = self.keys[one.job]
            written |= {f"best.{key}.{n}": torch.from_numpy(w) for n, w in one.weights.items()}
            results[key] = {
                "best_epoch": one.best_epoch,
                "valid_auroc": one.valid_auroc,
                "history": one.history,
            }
        keys = [self.keys[job] for job in rows]
        states = [dict(generator.bit_generator.state) for generator in order]
        state = asdict(Saved({}, epoch, keys, list(going), states, results))
        state.pop("tensors")
        path = self.path(jobs)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        save_file(written, partial, {"state": json.dumps(state)})
        os.replace(partial, path)

    def clear(self) -> None:
        """Remove the run's checkpoints: it has ended. So do those of runs given up long ago."""
        remove(self.folder)
        for other in self.folder.parent.glob("*/"):
            newest = max(path.stat().st_mtime for path in (other, *other.iterdir()))
            if newest < time.time() - KEPT_SECONDS:
                remove(other)
