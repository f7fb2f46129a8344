"""A small stand-in for what the stages of a run write, and what its page says."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from conftest import Project
from deepchrome import seals
from deepchrome.data.dataset import CellType
from deepchrome.evaluation import predictions

CELLS = ["E003", "<i>E&9"]
"""The second may be the name of a folder."""

HASH = "0123456789abcdef"
SECTIONS = {
    "data-quality": "validate",
    "labels": "ingest",
    "expression": "evaluate",
    "architectures": "evaluate",
    "cell-types": "cross_cell",
    "training-sets": "training_sets",
    "generated": "gan",
    "classifier": "interpret",
}
"""The anchor of each section, in order, and the stage whose results it shows."""

FIGURES = {
    "train": ["curves"],
    "evaluate": ["cells", "curves", "published"],
    "cross_cell": ["auroc", "controls", "decomposition", "lineage", "clusters", "published"],
    "training_sets": ["sets", "curve", "published"],
    "gan": ["means", "profiles", "genes", "correlation", "walk", "cells", "quality"],
    "interpret": ["code", "attribution", "maximisation", "occlusion", "attention"],
}
DRAWN_HERE = 2  # of the two architectures: scores and difference
VERDICT = "Undecided whether the relation is the same: it loses 0.010 AUROC (-0.002 to 0.03). More."


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")


def table(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path, index=False)


def model(name: str, parameters: int, **more: object) -> dict:
    described = {"model": name, "architecture": name, "parameters": parameters, "seeds": [0]}
    steps = {"reduce": None, "transform": "log1p", "standardize": True}
    return described | {"options": {}, "preprocessing": steps, "dataset": HASH} | more


def scores(path: Path, noise: float, names: list[str], split: str) -> None:
    """Write predictions; names: what trained the model that scores each cell type."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(60) % 2).astype(np.int8)
    genes = np.array([f"ENSG{i:011d}" for i in range(60)])
    path.parent.mkdir(parents=True, exist_ok=True)
    with predictions.Writer(path) as writer:
        for cell, name in zip(CELLS, names, strict=True):
            test = CellType(cell, genes, np.zeros((60, 1, 1)), y, np.full(60, split, object))
            score = 1 / (1 + np.exp(-(y - 0.5 + noise * rng.normal(size=60))))
            writer.add([name], [0], test, score[None, None])


def make_run(root: Path) -> None:
    """Write what every stage leaves, small."""
    info = {"cells": CELLS, "marks": ["H3K27me3", "H3K4me3"], "bins": 100, "values": "counts"}
    info |= {"source": "simulated", "orientation": "genomic", "h3k4me3_halved": True}
    info |= {"labels": "rpkm", "split": "published", "hash": HASH}
    info["rpkm_median"] = dict.fromkeys(CELLS, 1.0)
    seals.write_json(root / "data/dataset/dataset.json", info)
    write(root / "models/train/model.json", model("deepchrome", 644177))
    write(root / "models/training_sets/model.json", model("linear", 12))
    write(root / "reports/data_docs/index.html", "<p>Data Docs</p>")
    scores(root / "predictions/evaluate.parquet", 0.4, CELLS, "test")
    scores(root / "predictions/training_sets.parquet", 0.6, ["own", "own"], "test")
    metrics = {
        "validate": {"expectations": 180, "warnings": 1, "failures": 0},
        "ingest": {"published_labels_wrong": 145, "explained_by_text": 145},
        "evaluate": {
            "auroc": 0.9056,
            "auroc_ci95": [0.8736, 0.9317],
            "auroc_without_overlap": None,
            "auprc": 0.886,
            "accuracy": 0.858,
        },
        "cross_cell": {
            "within_mean": 0.9056,
            "between_mean": 0.9023,
            "gap": 0.0033,
            "gap_ci95": [-0.03, 0.037],
            "no_chromatin_auroc": None,
            "switching_auroc": 0.865,
            "switching_difference_auroc": 0.95,
            "shuffled_auroc": 0.499,
            "verdict": "undecided",
        },
        "training_sets": {
            "own": 0.9081,
            "more_diverse": 0.0012,
            "more_diverse_ci95": [-0.001, 0.003],
            "more_data": None,
            "more_data_ci95": None,
        },
        "gan": {"separability": 0.7123, "separability_ci95": [0.69, 0.73], "epochs": 1200},
        "interpret": {"attribution_sum_error": 0.0004, "verdict": "as known"},
    }
    for stage, numbers in metrics.items():
        write(root / f"metrics/{stage}.json", {"dataset": HASH} | numbers)
    plots = root / "plots"
    two = [0.1, 0.2]
    table(
        plots / "validate/expectations.csv",
        cell=[*CELLS, "all cell types"],
        expectations=[70, 70, 40],
        warnings=[1, 0, 0],
        failures=[0, 0, 0],
    )
    table(
        plots / "validate/failed.csv",
        cell=CELLS[:1],
        severity=["warning"],
        expected=["5% to 95% of genes are high"],
        found=["97%"],
        to_do=["Check the <labels>."],
    )
    table(
        plots / "ingest/labels.csv",
        cell=CELLS,
        genes=[600, 600],
        high=[0.5, 0.5],
        published_high=[0.29, 0.5],
        disagree=[145, 0],
        explained=[145, 0],
        verdict=["text", "numeric"],
    )
    table(plots / "train/curves.csv", epoch=[1, 2], train_loss=[0.6, 0.4], valid_auroc=[0.8, 0.9])
    scored = {"auroc": [0.878, 0.938], "auprc": [0.83, 0.92], "accuracy": [0.82, 0.89]}
    table(plots / "evaluate/cells.csv", cell=CELLS, seed=[0, 0], n=[204, 204], **scored)
    table(plots / "evaluate/roc.csv", fpr=two, tpr=[0.71, 0.8])
    table(plots / "evaluate/precision_recall.csv", recall=[0.7, 0.8], precision=[0.95, 0.83])
    pairs = {"train_cell": [*CELLS, *CELLS], "test_cell": [*CELLS, *CELLS[::-1]]}
    table(plots / "cross_cell/auroc.csv", **pairs, auroc=[0.88, 0.94, 0.87, 0.93])
    write(plots / "cross_cell/verdict.txt", VERDICT)
    table(
        plots / "cross_cell/controls.csv",
        statistic=["within", "between", "gap", "switching"],
        auroc=[0.906, 0.902, 0.004, 0.865],
        low=[0.8] * 4,
        high=[0.95] * 4,
    )
    terms = ["columns", "rows", "interaction"]
    table(plots / "cross_cell/decomposition.csv", term=terms, share=[0.97, 0.02, 0.01])
    table(plots / "cross_cell/cells.csv", cell=CELLS, columns=two, rows=two, own=two)
    lost = {"same_lineage": [True, False], "loss": [0.001, 0.02]}
    table(plots / "cross_cell/pairs.csv", train_cell=["A", "B"], test_cell=["B", "C"], **lost)
    table(plots / "cross_cell/clusters.csv", clusters=[2], adjusted_rand=[0.4], p=[0.03])
    table(
        plots / "training_sets/means.csv",
        training_set=["own", "inclusive_all", "exclusive_all"],
        n=[2, 2, 2],
        n_cells=[1.0, 2.0, 1.0],
        auroc=[0.9081, 0.91, 0.9],
        difference=[0, 0.002, -0.008],
        low=[0, -0.001, -0.012],
        high=[0, 0.005, -0.004],
    )
    kinds = {"examples": ["all", "as one cell type"], "auroc": [0.9, 0.9], "gain": [0.004, 0.001]}
    table(plots / "training_sets/curve_means.csv", n_cells=[7, 7], **kinds, low=two, high=two)
    quality = {"measure": ["separability", "copies"], "value": [0.7123, 3], "reference": [0.5, 0]}
    table(plots / "gan/quality.csv", **quality, what=["trees", "of <training> genes"])
    write(plots / "gan/verdict.txt", "High genes carry H3K4me3 at the TSS. Trust it so far.")
    table(plots / "interpret/marks.csv", mark=["H3K4me3"], sign=["up"], effect=[0.31])
    write(plots / "interpret/verdict.txt", "It looks for H3K4me3.")
    published = {"source": ["CNN", "CNN"], "published": [0.7, 0.9], "ours": [0.88, 0.91]}
    published |= {"difference": [0.18, 0.01], "comparable": [False, True], "reason": ["text", ""]}
    for stage, names in FIGURES.items():
        for name in names:
            if name == "published":
                table(plots / f"{stage}/published.csv", **published)
            (plots / stage).mkdir(exist_ok=True)
            picture = Image.new("RGB", (1500, 600), "white")
            picture.save(plots / f"{stage}/{name}.png", dpi=(150, 150))
    frames = [Image.new("P", (300, 200), color) for color in (1, 2)]
    frames[0].save(plots / "gan/walk.gif", save_all=True, append_images=frames[1:])


def made_page(project: Project) -> str:
    project.ok("report")
    return (project.path / "reports/index.html").read_text(encoding="utf-8")


class Parsed(HTMLParser):
    """Every element of a page with its attributes, and the text of each section."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self._section = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "section":
            self._section = attributes["id"]

    def handle_endtag(self, tag):
        if tag == "section":
            self._section = ""

    def handle_data(self, data):
        self.text[self._section] = self.text.get(self._section, "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]
