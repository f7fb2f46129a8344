"""Scores on real chromatin: scikit-learn's logistic regression beside our models.

    python benchmarks/real_sample.py --raw data/raw/roadmap-subset
    python benchmarks/real_sample.py --orient transcription

The raw directory holds E003 and E123 in the published layout with Roadmap's expression table. Each
model is trained on one cell type's training genes, with seeds 0 to 4, and scored on the test genes
of both, under corrected (rpkm) and published labels. The interval is a bootstrap over test genes.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepchrome import MARKS, params
from deepchrome.data.dataset import CellType, Dataset
from deepchrome.data.sources import published
from deepchrome.evaluation.metrics import GeneBootstrap, auroc
from deepchrome.stages import ingest
from deepchrome.training import store as trained
from deepchrome.training.groups import train
from deepchrome.training.jobs import Job

CELLS = ["E003", "E123"]
SEEDS = range(5)
FEATURES = {
    "max": lambda X: X.max(1).astype(float),
    "log of sum": lambda X: np.log1p(X.sum(1, dtype=float)),
}


def logistic_regression(cell: CellType, feature: str):
    """Return a scoring function fitted on the training genes of one cell type."""
    train, map_ = cell.part("train"), FEATURES[feature]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(map_(train.X), train.y)
    return lambda X: model.decision_function(map_(X))


def measure(raw: Path, models: list[str], settings: params.Params) -> pd.DataFrame:
    """Return AUROC and its interval for each labels, model, training and test cell type and seed.

    Columns: labels, model, train_cell, test_cell, seed (None: logistic regression), auroc, low,
    high.
    """
    rows = []
    for labels in ("rpkm", "published"):
        with tempfile.TemporaryDirectory() as folder:
            data_params = settings.data.model_copy(update={"raw": str(raw), "labels": labels})
            paths = [f"{folder}/{name}" for name in ("dataset", "ingest.json", "plots")]
            ingest.run(data_params, settings.reads, CELLS, *paths)
            data = Dataset(paths[0])
            cells = {cell: data.load(cell) for cell in CELLS}
            scorers = {}
            for feature in FEATURES:
                for cell in CELLS:
                    score = logistic_regression(cells[cell], feature)
                    scorers[f"logistic regression, {feature}", cell, None] = score
            for model in models:
                variant = settings.models[model]
                jobs = [Job(cell, seed) for cell in CELLS for seed in SEEDS]
                fitted = train(jobs, data, variant, torch.device("cpu"))
                trained.save(Path(folder, model), model, variant, fitted, data.info)
                ours = trained.Models(Path(folder, model))
                for job in jobs:
                    scorers[model, job.name, job.seed] = _scorer(ours, job)
            for test_cell in CELLS:
                test = cells[test_cell].part("test")
                bootstrap = GeneBootstrap(test.gene_id)
                for (model, train_cell, seed), score in scorers.items():
                    found = score(test.X)
                    interval = bootstrap.interval(bootstrap.auroc(test.gene_id, test.y, found))
                    rows.append(
                        {
                            "labels": labels,
                            "model": model,
                            "train_cell": train_cell,
                            "test_cell": test_cell,
                            "seed": seed,
                            "auroc": auroc(test.y, found),
                            "low": interval.low,
                            "high": interval.high,
                        }
                    )
    return pd.DataFrame(rows)


def even_shares(raw: Path) -> pd.DataFrame:
    """Return the share of even counts among those above zero, cell type x mark."""
    shares = {}
    for cell in CELLS:
        X = published.read_splits(raw, cell)[0].X
        shares[cell] = {
            mark: float((X[..., i][X[..., i] > 0] % 2 == 0).mean()) for i, mark in enumerate(MARKS)
        }
    return pd.DataFrame(shares).T


def _scorer(models: trained.Models, job: Job):
    row = models.seeds.index(job.seed)
    return lambda X: models.predict(X, [job.name])[0, row]


def main() -> None:
    """Print the table of means and, below, each seed with its interval."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--raw", type=Path, default=Path("data/raw/roadmap-subset"))
    parser.add_argument("--orient", choices=["genomic", "transcription"], default="genomic")
    parser.add_argument("--models", nargs="+", default=["linear", "deepchrome"])
    parser.add_argument("--even", action="store_true", help="print the share of even counts only")
    args = parser.parse_args()
    if args.even:
        print(even_shares(args.raw).to_string(float_format="%.3f"))
        return
    settings = params.load()
    data_params = settings.data.model_copy(update={"orient": args.orient})
    found = measure(args.raw, args.models, settings.model_copy(update={"data": data_params}))
    pairs = [(a, b) for a in CELLS for b in CELLS]
    console = Console(width=120)
    table = Table(
        "labels",
        "model",
        *(f"{a} -> {b}" for a, b in pairs),
        title=f"Test AUROC, mean over seeds, bins in {args.orient} order",
    )
    by_model = found.groupby(["labels", "model"], sort=False)
    for (labels, model), rows in by_model:
        means = rows.groupby(["train_cell", "test_cell"])["auroc"].mean()
        table.add_row(labels, model, *(f"{means[pair]:.3f}" for pair in pairs))
    console.print(table)
    seeds = Table("labels", "model", "seed", *(f"{a} -> {b}" for a, b in pairs))
    for (labels, model), rows in by_model:
        for seed, one in rows.groupby("seed", dropna=False):
            cells = one.set_index(["train_cell", "test_cell"])
            seeds.add_row(
                labels,
                model,
                "" if pd.isna(seed) else f"{seed:.0f}",
                *(
                    f"{cells.auroc[pair]:.3f} ({cells.low[pair]:.2f}-{cells.high[pair]:.2f})"
                    for pair in pairs
                ),
            )
    console.print(seeds)


if __name__ == "__main__":
    main()
