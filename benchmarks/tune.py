"""Choose defaults without test genes: score settings by cross-validation within the others.

    python benchmarks/tune.py deepchrome --dataset data/dataset \
        --try learning_rate=1e-4,3e-4,1e-3 --try options.dropout=0.5,0.8

The training and validation genes of each cell type are cut into folds. Each fold is scored by
models that learnt from the rest, a fifth of which chose the epoch. Test genes are not looked at.
"""

import argparse
import itertools
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from deepchrome import params
from deepchrome.data.dataset import CellType, Dataset
from deepchrome.evaluation.metrics import auroc
from deepchrome.models import margin
from deepchrome.models.preprocessing import Preprocessing
from deepchrome.training.groups import train
from deepchrome.training.jobs import Job, TrainedNetwork
from deepchrome.training.network import network


@dataclass(frozen=True)
class Folded:
    """A dataset whose cell types are `<cell>/<fold>`: without test genes, one fold as "held"."""

    path: str
    folds: int

    def load(self, name: str) -> CellType:
        cell, fold = name.split("/")
        data = Dataset(self.path).load(cell).without("test")
        parts = np.random.default_rng(0).permutation(len(data.y)) % (5 * self.folds)
        split = np.where(
            parts // 5 == int(fold), "held", np.where(parts % 5 == 0, "valid", "train")
        )
        return replace(data, split=split.astype(object))


def score(one: TrainedNetwork, variant: params.ModelParams, X: np.ndarray) -> np.ndarray:
    """Return the log-odds of high, shape=(genes,), by one trained network."""
    model = network(variant).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in one.weights.items()}, strict=False)
    x = Preprocessing.of(variant).features(torch.from_numpy(X))
    with torch.no_grad():
        x = (x - torch.from_numpy(one.shift)) / torch.from_numpy(one.scale)
        return margin(model(x)).numpy()


def cross_validated(path: str, variant: params.ModelParams, folds: int, seeds: int):
    """Return the mean held-out AUROC of each cell type, and the mean best epoch."""
    data = Folded(path, folds)
    cells = Dataset(path).cells
    jobs = [
        Job(f"{cell}/{fold}", seed)
        for cell in cells
        for fold in range(folds)
        for seed in range(seeds)
    ]
    trained = train(jobs, data, variant, torch.device("cpu"))
    found = {cell: [] for cell in cells}
    for one in trained:
        held = data.load(one.job.name).part("held")
        found[one.job.name.split("/")[0]].append(auroc(held.y, score(one, variant, held.X)))
    return {cell: np.mean(v) for cell, v in found.items()}, np.mean([t.best_epoch for t in trained])


def main() -> None:
    """Print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="an entry of params.yaml's models")
    parser.add_argument("--dataset", nargs="+", default=["data/dataset"])
    parser.add_argument("--try", dest="tries", action="append", default=[], metavar="KEY=A,B")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--params", default="params.yaml")
    args = parser.parse_args()
    base = params.load(args.params).models[args.model]
    tries = [entry.split("=") for entry in args.tries]
    table = Table("setting", *args.dataset, "mean", "best epoch", "seconds")
    for setting in itertools.product(*(values.split(",") for _, values in tries)):
        changed = {key: yaml.safe_load(v) for (key, _), v in zip(tries, setting, strict=True)}
        changed = {
            k: float(v) if k in ("learning_rate", "weight_decay") else v for k, v in changed.items()
        }
        inner = {k.removeprefix("options."): v for k, v in changed.items() if "options." in k}
        outer = {k: v for k, v in changed.items() if "options." not in k}
        variant = params.ModelParams.model_validate(
            base.model_dump() | outer | {"options": base.options | inner}
        )
        start, shown, means, epochs = time.perf_counter(), [], [], []
        for path in args.dataset:
            scores, epoch = cross_validated(path, variant, args.folds, args.seeds)
            shown.append(" ".join(f"{cell} {value:.4f}" for cell, value in scores.items()))
            means.append(np.mean(list(scores.values())))
            epochs.append(f"{epoch:.1f}")
        row = [
            " ".join(f"{k}={v}" for k, v in changed.items()) or "as in params.yaml",
            *shown,
            f"{np.mean(means):.4f}",
            " ".join(epochs),
            f"{time.perf_counter() - start:.0f}",
        ]
        print(*row, sep=" | ", flush=True)
        table.add_row(*row)
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
