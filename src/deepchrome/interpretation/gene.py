"""One gene: which it is, what was predicted of it, and what moved the prediction."""

import re
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
import torch

from deepchrome.data.dataset import CellType, Dataset
from deepchrome.errors import DeepChromeError, nearest
from deepchrome.interpretation import attribution
from deepchrome.interpretation.log_odds import scorer
from deepchrome.interpretation.signals import log_signals
from deepchrome.training.store import Models

BASELINES = 50
"""Training genes that one gene is compared with, half of them high."""


@dataclass(frozen=True)
class GeneExplanation:
    """What a cell type's models make of one gene, mean over seeds.

    `signal`: as in the dataset, `typical`: mean signal of the genes it is compared with,
    `attribution`: log-odds; each of shape=(bins, marks). `probability`: of high expression.
    """

    signal: np.ndarray
    typical: np.ndarray
    attribution: np.ndarray
    probability: float


def find_gene(data: Dataset, gene: str) -> str:
    """Return the id of a gene of the dataset by its id, its id with a version, or its symbol."""
    genes = data.genes
    name = gene.strip()
    if name in genes.index:
        return name
    unversioned = re.sub(r"^(ENSG\d{11})\.\d+$", r"\1", name.upper())
    if unversioned in genes.index:
        return unversioned
    symbols = genes["symbol"].dropna().astype(str)
    matching = symbols.index[symbols.str.upper() == name.upper()]
    if len(matching) == 1:
        return str(matching[0])
    if len(matching) > 1:
        raise DeepChromeError(
            f"--gene {gene!r}: {len(matching)} genes of {data.path} have this symbol; "
            f"name one by its id: {', '.join(map(str, matching))}"
        )
    alike = genes.index if unversioned.startswith("ENSG") else symbols
    close = nearest(name.upper(), map(str, alike))
    raise DeepChromeError(f"--gene {gene!r}: no such gene in {data.path}{close}")


def explain_gene(trained: Models, cell: CellType, row: int) -> GeneExplanation:
    """Explain one gene of a cell type by each of its models, against training genes of both labels.

    row: of the gene in `cell`. A training gene is not compared with itself.
    """
    gene_id = str(cell.gene_id[row])
    others = np.flatnonzero((cell.split == "train") & (cell.gene_id != gene_id))
    rng = np.random.default_rng(crc32(gene_id.encode()))
    drawn = others[attribution.baselines(cell.y[others], 1, BASELINES, rng)[:, 0]]
    signal = cell.X[row : row + 1]
    against, x = (
        torch.from_numpy(log_signals(X, np.float32)).to(trained.device)
        for X in (cell.X[drawn], signal)
    )
    repeated = x.expand(BASELINES, -1, -1)  # each with a baseline of its own
    by_seed = []
    for seed in range(len(trained.seeds)):
        score = scorer(trained, cell.cell, seed)
        values = attribution.integrated_gradients(score, repeated, against[None])
        by_seed.append(values.mean(0).cpu().numpy())
    return GeneExplanation(
        signal=signal[0],
        typical=cell.X[drawn].astype(np.float32).mean(0),
        attribution=np.mean(by_seed, axis=0),
        probability=float(trained.predict(signal, [cell.cell]).mean()),
    )


def describe(
    gene_id: str,
    known: pd.Series,
    split: str,
    label: int,
    rpkm: float,
    probability: float,
    cell: str,
) -> str:
    """Say what was predicted of a gene and what is true.

    known: the gene's row of the dataset's `genes`. rpkm: NaN where it is unknown.
    """
    name = gene_id if pd.isna(known["symbol"]) else f"{known['symbol']} ({gene_id})"
    measured = "" if np.isnan(rpkm) else f", RPKM {rpkm:,.3f}"
    seen = {"train": "a training gene", "valid": "a validation gene", "test": "a test gene"}[split]
    right = "rightly" if (probability >= 0.5) == (label == 1) else "wrongly"
    called = "high" if probability >= 0.5 else "low"
    return (
        f"{name} in {cell}, {seen}: {right} called {called}, P(high) = {probability:.3f}; "
        f"it is {'high' if label else 'low'}{measured}"
    )


def moved_by(marks: dict[str, float]) -> str:
    """Name the marks that moved a prediction up and those that moved it down, strongest first.

    marks: the attribution to each, log-odds.
    """
    parts = []
    for word, sign in (("Up", 1), ("down", -1)):
        mine = sorted(
            (mark for mark in marks if sign * marks[mark] >= 0.005),
            key=lambda mark: -abs(marks[mark]),
        )
        names = ", ".join(f"{mark} {marks[mark]:+.2f}" for mark in mine) or "nothing"
        parts.append(f"{word}: {names}")
    return "; ".join(parts)
