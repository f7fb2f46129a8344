"""Keys of jobs: equal for two that would end alike, by their data, settings and code."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import torch

from deepchrome.params import ModelParams
from deepchrome.training.jobs import Job

CODE = (
    "training/fit.py",
    "training/ensemble.py",
    "training/examples.py",
    "training/jobs.py",
    "training/network.py",
    "training/objective.py",
    "training/optimizer.py",
    "training/ranking.py",
    "training/record.py",
    "training/tape.py",
    "models",
)
"""What a training run's numbers depend on, beside its data and parameters."""


def code_hash() -> str:
    """Return a hash of the code that trains, and of torch's version."""
    return hashlib.sha256(torch.__version__.encode() + code_digest(CODE)).hexdigest()


def code_digest(names: Iterable[str]) -> bytes:
    """Return a hash of files and whole folders of the package."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for name in names:
        path = package / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.suffix != ".pyc":
                digest.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes())
    return digest.digest()


def job_key(
    job: Job, data: dict[str, str], params: ModelParams, device: str, precision: str, code: str
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
