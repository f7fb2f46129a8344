"""Unfinished training on disk, so that an interrupted run goes on where it was.

They lie in the project's `.cache/train`, which is no output of a stage: DVC does not touch it, and
a queued experiment, which runs in a temporary copy, finds it by DVC_ROOT.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from deepchrome.files import remove
from deepchrome.params import ModelParams

if TYPE_CHECKING:
    from deepchrome.training.fit import Job

CODE = (
    "training/fit.py",
    "training/ensemble.py",
    "training/record.py",
    "training/ranking.py",
    "models",
)
"""What a training run's numbers depend on, beside its data and parameters."""


def code_hash() -> str:
    """Return a hash of the code that trains, and of torch's version."""
    digest = hashlib.sha256(torch.__version__.encode())
    package = Path(__file__).parents[1]
    for name in CODE:
        path = package / name
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def job_key(
    job: "Job", data: dict[str, str], params: ModelParams, device: str, precision: str, code: str
) -> str:
    """Return a key, 16 hex digits, that is equal only for a job that would end alike.

    data: `dataset.training_hash` of each cell type. code: `code_hash()`.
    """
    content = [
        [job.name, job.seed, job.examples],
        [data[cell] for cell in job.sources],
        params.model_dump(),
        device,
        precision,
        code,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Checkpoints:
    """One file for each group of jobs that train together, written whole or not at all.

    keys: `job_key` of every job. seconds: the time between two checkpoints of a group.
    """

    keys: dict["Job", str]
    seconds: float

    @property
    def folder(self) -> Path:
        """Where the run's checkpoints lie."""
        run = hashlib.sha256("".join(sorted(self.keys.values())).encode()).hexdigest()[:16]
        return Path(os.environ.get("DVC_ROOT", ".")) / ".cache" / "train" / run

    def path(self, jobs: "Sequence[Job]") -> Path:
        """Return the file of a group."""
        digest = hashlib.sha256("".join(sorted(self.keys[job] for job in jobs)).encode())
        return self.folder / f"{digest.hexdigest()[:16]}.safetensors"

    def load(self, jobs: "Sequence[Job]") -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return tensors and state of a group's last checkpoint; None without a whole one."""
        try:
            with safe_open(self.path(jobs), "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                return tensors, json.loads(file.metadata()["state"])
        except (FileNotFoundError, SafetensorError, KeyError, TypeError, json.JSONDecodeError):
            return None

    def save(
        self, jobs: "Sequence[Job]", tensors: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """Replace a group's checkpoint."""
        path = self.path(jobs)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, partial, {"state": json.dumps(state)})
        os.replace(partial, path)

    def clear(self) -> None:
        """Remove the run's checkpoints: it has ended."""
        remove(self.folder)
