"""Trained models on disk and their predictions.

weights.safetensors   every weight with leading axes cell type and seed, and the preprocessing's
shift and scale, shape=(cell types, seeds, marks)
model.json            architecture, preprocessing and all else that is needed to predict, the
SHA-256 of weights.safetensors and a checksum of its own
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor
from torch.func import functional_call

from deepchrome import MARKS, N_BINS, seals
from deepchrome.data.dataset import Dataset
from deepchrome.errors import DeepChromeError, listing, nearest
from deepchrome.files import read_json
from deepchrome.models import build, margin, n_parameters
from deepchrome.models.preprocessing import Preprocessing
from deepchrome.params import ModelParams
from deepchrome.training.jobs import Job, TrainedNetwork
from deepchrome.training.objective import HIGH

FILES = ("model.json", "weights.safetensors")
NETWORK = "network."

SCORING_BATCH = 1024
"""Genes scored at a time by one network."""


def save(
    path: Path,
    variant: str,
    params: ModelParams,
    networks: Sequence[TrainedNetwork],
    dataset: dict[str, Any],
    keys: Mapping[Job, str] = MappingProxyType({}),
) -> None:
    """Write models for every combination of cell type and seed.

    dataset: the dataset's `info`, of which the models keep what predictions depend on. keys:
    `checkpoints.job_key` of each job that `reuse` should know again.
    """
    cells = list(dict.fromkeys(one.job.name for one in networks))
    seeds = list(dict.fromkeys(one.job.seed for one in networks))
    by_job = {(one.job.name, one.job.seed): one for one in networks}
    grid = [[by_job[cell, seed] for seed in seeds] for cell in cells]

    def stacked(get: Any) -> Tensor:
        return torch.from_numpy(np.stack([np.stack([get(one) for one in row]) for row in grid]))

    tensors = {
        NETWORK + name: stacked(lambda one, name=name: one.weights[name])
        for name in grid[0][0].weights
    }
    tensors["shift"] = stacked(lambda one: one.shift)
    tensors["scale"] = stacked(lambda one: one.scale)
    bins = 1 if params.reduce else N_BINS
    write_folder(
        path,
        tensors,
        {
            "model": variant,
            "architecture": params.architecture,
            "options": params.options,
            "preprocessing": asdict(Preprocessing.of(params)),
            "parameters": n_parameters(
                build(params.architecture, bins, len(MARKS), params.options)
            ),
            "marks": list(MARKS),
            "bins": N_BINS,
            "cells": cells,
            "seeds": seeds,
            "values": dataset["values"],
            "orientation": dataset["orientation"],
            "h3k4me3_halved": dataset["h3k4me3_halved"],
            "labels": dataset["labels"],
            "dataset": dataset["hash"],
            "best_epoch": [[one.best_epoch for one in row] for row in grid],
            "valid_auroc": [[round(one.valid_auroc, 6) for one in row] for row in grid],
            "keys": [[keys.get(one.job) for one in row] for row in grid],
        },
    )


_HASH = "weights_sha256"


class _Preprocessing(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    reduce: Literal["max", "sum", "mean", "median", "min"] | None
    transform: Literal["counts", "log1p"]
    standardize: bool


class _Info(BaseModel):
    """`model.json` of trained models, every key of it."""

    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())

    model: str
    architecture: str
    options: dict[str, Any]
    preprocessing: _Preprocessing
    parameters: int
    marks: list[str]
    bins: int
    cells: list[str]
    seeds: list[int]
    values: Literal["counts", "signal"]
    orientation: Literal["genomic", "transcription"]
    h3k4me3_halved: bool
    labels: Literal["rpkm", "published"]
    dataset: str
    best_epoch: list[list[int]]
    valid_auroc: list[list[float]]
    keys: list[list[str | None]]
    weights_sha256: str


def write_folder(path: Path, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """Make a folder of `weights.safetensors` and `model.json`, which knows the weights' SHA-256."""
    path.mkdir(parents=True)
    save_file(tensors, path / "weights.safetensors")
    write_info(path, info)


def write_info(path: Path, info: dict[str, Any]) -> None:
    """Write `model.json` anew beside the weights that are there."""
    hashed = seals.sha256(path / "weights.safetensors")
    seals.write_json(path / "model.json", info | {_HASH: hashed})


def read_folder(
    path: Path, stage: str, form: type[BaseModel]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read `model.json`, which must have this form, and `weights.safetensors`.

    stage: that makes such a folder, for the message. Raises DeepChromeError where a file is
    missing, damaged, or not as it was written.
    """
    remedy = f"run 'dvc repro {stage}' to train again"
    described, weights = path / "model.json", path / "weights.safetensors"
    for file in (described, weights):
        if not file.is_file():
            raise DeepChromeError(
                f"{file}: no such file; expected a folder with model.json "
                f"and weights.safetensors, such as models/{stage} after 'dvc repro {stage}'"
            )
    absent = [key for key in form.model_fields if key not in read_json(described, remedy)]
    if absent:
        raise DeepChromeError(
            f"{described}: no {listing(absent)} here: an earlier version wrote it; {remedy}"
        )
    info = seals.read_json(described, remedy)
    try:
        form.model_validate(info)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise DeepChromeError(f"{described}: {key}: {first['msg']}; {remedy}") from None
    content = weights.read_bytes()
    if hashlib.sha256(content).hexdigest() != info.pop(_HASH):
        raise DeepChromeError(
            f"{weights}: damaged, or not the weights that model.json belongs to (their SHA-256 is "
            f"another); {remedy}"
        )
    try:
        return info, load(content)
    except SafetensorError as error:
        raise DeepChromeError(f"{weights}: damaged: {error}; {remedy}") from None


class Models:
    """Trained models, read from disk and checked.

    Raises DeepChromeError where a file is missing or damaged, or where weights, architecture and
    marks do not fit each other.
    """

    def __init__(self, path: str | Path, device: torch.device | None = None):
        self.path = Path(path)
        self.device = device or torch.device("cpu")
        self.info, tensors = read_folder(self.path, "train", _Info)
        info = self.info
        if info["marks"] != list(MARKS) or info["bins"] != N_BINS:
            raise DeepChromeError(
                f"{self.path}: these models were trained on {info['bins']} bins of "
                f"{', '.join(info['marks'])}; expected {N_BINS} bins of {', '.join(MARKS)}"
            )
        self.cells: list[str] = info["cells"]
        self.seeds: list[int] = info["seeds"]
        self.preprocessing = Preprocessing(**info["preprocessing"])
        bins = 1 if self.preprocessing.reduce else N_BINS
        self.network = build(info["architecture"], bins, len(MARKS), info["options"])
        self.network.to(self.device).eval()
        expected = {NETWORK + name: p.shape for name, p in self.network.named_parameters()}
        expected |= dict.fromkeys(("shift", "scale"), torch.Size([len(MARKS)]))
        leading = torch.Size([len(self.cells), len(self.seeds)])
        found = {name: tensor.shape for name, tensor in tensors.items()}
        if found != {name: leading + shape for name, shape in expected.items()}:
            wrong = sorted(
                name
                for name in expected.keys() | found.keys()
                if found.get(name) != leading + expected.get(name, torch.Size())
            )
            raise DeepChromeError(
                f"{self.path}: weights.safetensors does not hold the {info['architecture']} "
                f"architecture that model.json names; {listing(wrong, 3)} differ. "
                "Were the two files written by different runs?"
            )
        self._check_grids()
        self.tensors = {name: tensor.to(self.device) for name, tensor in tensors.items()}

    def _check_grids(self) -> None:
        """Refuse a list of what differs by cell type and seed that is of another shape."""
        for key in ("best_epoch", "valid_auroc", "keys"):
            grid = self.info[key]
            if len(grid) != len(self.cells) or any(len(row) != len(self.seeds) for row in grid):
                raise DeepChromeError(
                    f"{self.path}/model.json: {key} is not of {len(self.cells)} cell types and "
                    f"{len(self.seeds)} seeds; run 'dvc repro train' to train again"
                )

    def index(self, cell: str) -> int:
        """Return a cell type's position, or say which there are."""
        if cell not in self.cells:
            raise DeepChromeError(
                f"{self.path}: no model of cell type {cell!r}{nearest(cell, self.cells)} "
                f"It has {listing(self.cells, 60)}."
            )
        return self.cells.index(cell)

    @torch.no_grad()
    def log_odds(self, X: np.ndarray, cells: Sequence[str]) -> np.ndarray:
        """Score genes by the models of several cell types.

        X: counts or signal, shape=(genes, bins, marks), as in a dataset. Returns the log-odds of
        high expression, float32, shape=(cell types, seeds, genes). They rank genes whose
        probabilities are all 1.
        """
        rows = torch.tensor([self.index(cell) for cell in cells], device=self.device)
        chosen = {
            name: tensor[rows].flatten(0, 1) for name, tensor in self.tensors.items()
        }  # (cell types * seeds, ...)
        shift, scale = chosen.pop("shift"), chosen.pop("scale")
        margins = torch.empty((len(shift), len(X)), device=self.device)
        for start in range(0, len(X), SCORING_BATCH):
            counts = torch.from_numpy(X[start : start + SCORING_BATCH]).to(self.device)
            x = self.preprocessing.features(counts)
            # one network at a time: plain operators on many genes beat batched ones over networks
            for i in range(len(shift)):
                weights = {name.removeprefix(NETWORK): chosen[name][i] for name in chosen}
                logits = functional_call(self.network, weights, ((x - shift[i]) / scale[i],))
                margins[i, start : start + len(x)] = margin(logits)
        return margins.view(len(cells), len(self.seeds), len(X)).cpu().numpy()

    def predict(self, X: np.ndarray, cells: Sequence[str]) -> np.ndarray:
        """Return the probability of high expression, float64, of the shape of `log_odds`."""
        return HIGH.link(torch.from_numpy(self.log_odds(X, cells)).double()).numpy()


def reuse(path: str | Path, history: str | Path, keys: dict[Job, str]) -> dict[Job, TrainedNetwork]:
    """Return those of the models in `path` that training these jobs again would only repeat.

    history: the CSV file of their curves. Nothing is returned where either is missing or damaged.
    """
    columns = ["epoch", "train_loss", "valid_auroc"]
    try:
        models = Models(path)
        rows = pd.read_csv(history, converters={"cell": str})
        curves = dict(list(rows.groupby(["cell", "seed"])[columns]))
    except (DeepChromeError, OSError, ValueError, KeyError):
        return {}
    found: dict[Job, TrainedNetwork] = {}
    for job, key in keys.items():
        if job.name not in models.cells or job.seed not in models.seeds:
            continue
        at = models.cells.index(job.name), models.seeds.index(job.seed)
        if models.info["keys"][at[0]][at[1]] == key:
            weights = {name: tensor[at].numpy() for name, tensor in models.tensors.items()}
            shift, scale = weights.pop("shift"), weights.pop("scale")
            found[job] = TrainedNetwork(
                job,
                {name.removeprefix(NETWORK): weight for name, weight in weights.items()},
                shift,
                scale,
                models.info["best_epoch"][at[0]][at[1]],
                models.info["valid_auroc"][at[0]][at[1]],
                curves[job.name, job.seed].to_dict("records"),
            )
    return found


def check_same_data(models: Models, data: Dataset) -> None:
    """Refuse models that were trained on a dataset of other content."""
    if models.info["dataset"] != data.hash:
        raise DeepChromeError(
            f"{models.path}: these models were trained on dataset {models.info['dataset']}, "
            f"but {data.path} is {data.hash}; run 'dvc repro train'"
        )
