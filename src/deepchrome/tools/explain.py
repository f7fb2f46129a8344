"""explain: one gene, its prediction, and what moved it."""

from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import torch

from deepchrome import MARKS
from deepchrome.console import console
from deepchrome.data.dataset import Dataset, origin
from deepchrome.errors import DeepChromeError, nearest
from deepchrome.figures.gene import gene as draw
from deepchrome.files import replacing
from deepchrome.interpretation import attribution
from deepchrome.training.fit import choose_device
from deepchrome.training.store import Models, check_same_data

BASELINES = 50
"""Training genes that one gene is compared with, half of them high."""


def run(
    gene: str,
    cell: str,
    models: Path,
    output: Path | None,
    device: str,
    dataset: str = "data/dataset",
) -> None:
    """Draw a gene's signal, prediction and attribution, and say what moved the prediction.

    gene: Ensembl id, with or without a version, or symbol. With several seeds, means over them.
    """
    data = Dataset(dataset)
    gene_id = find_gene(data, gene)
    trained = Models(models, choose_device(device))
    row = trained.index(cell)
    check_same_data(trained, data)
    whole = data.load(trained.cells[row])
    at = np.flatnonzero(whole.gene_id == gene_id)
    if not len(at):
        raise DeepChromeError(f"gene {gene_id} is not in cell type {cell} of {data.path}")
    one = whole._only(at)
    train = whole.part("train")
    # a training gene is not compared with itself
    others = train._only(train.gene_id != gene_id)
    rng = np.random.default_rng(crc32(gene_id.encode()))
    drawn = attribution.baselines(others.y, 1, BASELINES, rng)[:, 0]
    typical = others.X[drawn].astype(np.float32)
    against = torch.from_numpy(np.log1p(typical)).to(trained.device)
    x = torch.from_numpy(np.log1p(one.X.astype(np.float32))).to(trained.device)
    by_seed = []
    for seed in range(len(trained.seeds)):
        score = attribution.scorer(trained, cell, seed)
        repeated = x.expand(BASELINES, -1, -1)  # each with a baseline of its own
        values = attribution.integrated_gradients(score, repeated, against[None])
        by_seed.append(values.mean(0).cpu().numpy())
    attributed = np.mean(by_seed, axis=0)
    probability = float(trained.predict(one.X, [cell]).mean())
    rpkm = data.labels.query("cell == @cell and gene_id == @gene_id")["rpkm"].iloc[0]
    known = data.genes.loc[gene_id]
    said = describe(gene_id, known, one.split[0], int(one.y[0]), float(rpkm), probability, cell)
    moved = dict(zip(MARKS, attributed.sum(0).tolist(), strict=True))
    symbol = gene_id if pd.isna(known["symbol"]) else known["symbol"]
    path = output or Path("reports", "explain", f"{symbol}_{cell}.png")
    if path.suffix.lower() != ".png":
        raise DeepChromeError(f"--output {path}: expected a file that ends in .png")
    with replacing(path) as (out,):
        strand = "" if pd.isna(known["strand"]) else f", {known['strand']} strand"
        if strand and data.info["orientation"] == "genomic":
            strand += f", transcribed to the {'right' if known['strand'] == '+' else 'left'}"
        draw(
            out,
            f"{said}\n{trained.info['model']}, {origin(data.info)}{strand}",
            one.X[0],
            typical.mean(0),
            attributed,
            data.info["orientation"],
            data.info["values"],
        )
    console.print(f"{said}. {pushed(moved)} (log-odds, against {BASELINES} training genes). {path}")


def find_gene(data: Dataset, gene: str) -> str:
    """Return the id of a gene of the dataset by its id, its id with a version, or its symbol."""
    genes = data.genes
    name = gene.strip()
    unversioned = name.upper().split(".")[0]
    if unversioned in genes.index:
        return unversioned
    if name in genes.index:
        return name
    symbols = genes["symbol"].dropna().astype(str)
    matching = symbols.index[symbols.str.upper() == name.upper()]
    if len(matching) == 1:
        return str(matching[0])
    if len(matching) > 1:
        raise DeepChromeError(
            f"--gene {gene}: {len(matching)} genes of {data.path} have this symbol; "
            f"name one by its id: {', '.join(map(str, matching))}"
        )
    alike = genes.index if unversioned.startswith("ENSG") else symbols
    close = nearest(name.upper(), map(str, alike))
    raise DeepChromeError(f"--gene {gene}: no such gene in {data.path}{close}")


def describe(
    gene_id: str,
    known: pd.Series,
    split: str,
    label: int,
    rpkm: float,
    probability: float,
    cell: str,
) -> str:
    """Say what was predicted of a gene and what is true."""
    name = gene_id if pd.isna(known["symbol"]) else f"{known['symbol']} ({gene_id})"
    measured = "" if np.isnan(rpkm) else f", RPKM {rpkm:,.3f}"
    seen = {"train": "a training gene", "valid": "a validation gene", "test": "a test gene"}[split]
    right = "rightly" if (probability >= 0.5) == (label == 1) else "wrongly"
    called = "high" if probability >= 0.5 else "low"
    return (
        f"{name} in {cell}, {seen}: {right} called {called}, P(high) = {probability:.3f}; "
        f"it is {'high' if label else 'low'}{measured}"
    )


def pushed(moved: dict[str, float]) -> str:
    """Name the marks that moved a prediction up and those that moved it down, strongest first."""
    parts = []
    for word, sign in (("Up", 1), ("down", -1)):
        mine = sorted(
            (mark for mark in moved if sign * moved[mark] >= 0.005),
            key=lambda mark: -abs(moved[mark]),
        )
        names = ", ".join(f"{mark} {moved[mark]:+.2f}" for mark in mine) or "nothing"
        parts.append(f"{word}: {names}")
    return "; ".join(parts)
