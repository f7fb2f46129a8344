"""The interpret stage: it finds what was planted, says how sure it is, and knows real biology."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import REAL, Gene, make_genes, needs_real, write_cell, write_rpkm
from deepchrome import MARKS, N_BINS
from deepchrome.data import reference
from deepchrome.data.dataset import Dataset
from deepchrome.errors import DeepChromeError
from deepchrome.interpretation.generator import save
from deepchrome.interpretation.network import Network
from deepchrome.interpretation.optima import optimise
from deepchrome.params import InterpretParams
from deepchrome.simulation import simulator
from deepchrome.stages import interpret
from deepchrome.training.store import Models
from interpretation.test_attribution import VARIANTS, counts, models_of
from interpretation.test_explanation import small_cell

KEYS = [
    "dataset",
    "marks_agreeing",
    "completeness_error",
    "redrawn_correlation",
    "stability",
    "stability_over",
    "likeness_unconstrained",
    "likeness_generator",
    "reads_unconstrained",
    "reads_generator",
]
FIGURES = ["attribution.png", "code.png", "maximisation.png", "occlusion.png"]
TABLES = ["attribution.csv", "cells.csv", "marks.csv", "maximisation.csv", "occlusion.csv"]


class Fake:
    """A generator of the planted signal: the first latent number is its strength."""

    latent = 8

    def __init__(self, cells):
        self.cells = cells

    def log_counts(self, z, label, cell):
        x = torch.ones(len(z), N_BINS, len(MARKS))
        x[:, 69:74, 2] += (label + z[:, 0])[:, None]
        return x


def planted(per_split: int, seed: int) -> list[Gene]:
    """Make genes of which only H3K4me1 in bins 70 to 74 tells whether they are high."""
    rng = np.random.default_rng(seed)
    genes = make_genes(per_split, seed)
    for gene in genes:
        counts = rng.poisson(2, (100, 5))
        counts[69:74, 2] += rng.poisson(8 * (gene.rpkm > 5), 5)
        counts[:, 3] *= 2
        gene.counts = counts
    return genes


def prepare(project, cells, model, per_split=60, make=planted, **params):
    """Ingest and train; what `validate` does is tested elsewhere."""
    columns = {cell: make(per_split, seed) for seed, cell in enumerate(cells)}
    for cell, genes in columns.items():
        write_cell(project.raw, cell, genes)
    write_rpkm(project.raw, columns)
    (project.raw / "simulated.json").write_text("{}")
    train(project, model, **params)


def train(project, model, **params):
    project.set("model", model)
    project.set("interpret.genes", 30)
    project.set("interpret.baselines", 4)
    project.set("interpret.starts", 2)
    for key, value in params.items():
        project.set(key.replace("__", "."), value)
    project.ok("ingest")
    passed = {"dataset": Dataset("data/dataset").hash}
    (project.path / "metrics/validate.json").write_text(json.dumps(passed))
    project.ok("train")


def results(project):
    metrics = json.loads((project.path / "metrics/interpret.json").read_text())
    return metrics, table("marks").set_index("mark")


def table(name):
    return pd.read_csv(f"plots/interpret/{name}.csv")


def test_a_planted_signal_is_found(project, pictures, monkeypatch):
    cells = ["E003", "E123"]
    prepare(project, cells, "deepchrome", models__deepchrome__epochs=8)
    printed = project.ok("interpret")
    assert "models/gan: no trained generator" in printed
    metrics, marks = results(project)
    assert list(metrics) == KEYS
    assert metrics["dataset"] == Dataset("data/dataset").hash
    assert metrics["likeness_generator"] is None
    assert metrics["stability_over"] == "cell types"
    assert "(one seed was trained)" in printed

    assert marks.loc["H3K4me1", "sign"] == "up"
    assert marks["attribution"].abs().idxmax() == "H3K4me1"
    assert marks["auroc_lost"].idxmax() == "H3K4me1"
    others = marks.drop(index="H3K4me1")
    assert others["attribution"].abs().max() < 0.3 * marks.loc["H3K4me1", "attribution"]
    assert marks.loc["H3K4me1", "from_kb"] >= 1.5  # bins 70 to 74: 1.9 to 2.4 kb from the TSS
    assert marks.loc["H3K4me1", "to_kb"] <= 2.8
    bins = table("attribution")
    assert list(bins.columns) == ["cell", "mark", "bin", "high", "low", "effect", "genes"]
    assert len(bins) == 2 * 500
    strongest = bins.loc[bins.groupby("cell")["effect"].idxmax()]
    assert set(strongest["mark"]) == {"H3K4me1"}
    assert strongest["bin"].between(66, 78).all()
    assert (strongest["high"] > 0).all()
    assert (strongest["low"] < 0).all()
    pieces = table("occlusion")
    assert set(pieces.loc[pieces.groupby("cell")["effect"].idxmax(), "region"]) <= {7, 8}
    assert metrics["completeness_error"] < 0.1
    assert abs(metrics["redrawn_correlation"]) < 0.15
    assert metrics["stability"] > 0.5

    maps = table("maximisation").set_index(["cell", "method", "class"])
    models, data = Models("models/train"), Dataset("data/dataset")
    params = InterpretParams(genes=30, baselines=4, starts=2, seed=0)
    for cell in cells:
        high, low = (maps.loc[(cell, "unconstrained", one)] for one in ("high", "low"))
        assert high["log_odds"] > low["log_odds"]
        optima = optimise(models, data.load(cell), params, None).maps["unconstrained"]
        # how many bins are active in all is chance: what is optimised differs in the planted ones
        planted_bins = (optima["high"] - optima["low"])[69:74].mean(0)
        assert planted_bins[2] > 0.3
        assert planted_bins[2] > 2 * np.delete(planted_bins, 2).max()

    text = (project.path / "plots/interpret/verdict.txt").read_text()
    assert "simulated data" in text
    files = {path.name for path in (project.path / "plots/interpret").iterdir()}
    assert files == {*FIGURES, *TABLES, "stability.csv", "verdict.txt"}
    for name in FIGURES:
        pictures.check(project.path / "plots/interpret" / name)

    monkeypatch.setattr(interpret, "read_generator", lambda path, trained: Fake(["E123"]))
    assert "the generator's signals" in project.ok("interpret")
    metrics, marks = results(project)
    assert marks["generator"].idxmax() == "H3K4me1"
    assert marks["methods"].eq(4).all()
    maps = table("maximisation").set_index(["cell", "method", "class"])
    assert ("E003", "generator", "high") not in maps.index
    assert maps.loc[("E123", "generator", "high"), "log_odds"] > 0
    assert metrics["likeness_generator"] > 0.3


@pytest.mark.parametrize("orient", ["genomic", "transcription"])
def test_one_linear_model(project, orient):
    known = reference.genes()["gene_id"].drop_duplicates().str[-6:]

    def genes(per_split, seed):
        made = make_genes(per_split, seed)
        for gene, number in zip(made, known[: len(made)], strict=True):
            gene.number = number  # of genes whose strand is known
        return made

    prepare(project, ["E003"], "linear", 12, genes, data__orient=orient, models__linear__epochs=20)
    printed = project.ok("interpret")
    metrics, marks = results(project)
    assert metrics["stability"] is None
    assert metrics["stability_over"] is None
    assert "nothing can be said of stability" in printed
    assert not (project.path / "plots/interpret/stability.csv").exists()
    models = Models("models/train")
    weight = models.tensors["network.layer.weight"][0, 0]
    assert (np.sign(marks["linear"]) == np.sign(weight[1] - weight[0]).numpy()).all()
    first, last = (-5, 5) if orient == "transcription" else (0, 5)
    assert marks[["from_kb", "to_kb"]].stack().between(first, last).all()


def test_two_seeds(project):
    prepare(project, ["E003"], "linear", 20, models__linear__epochs=5, seeds=[3, 5])
    printed = project.ok("interpret")
    metrics, _ = results(project)
    assert metrics["stability_over"] == "seeds"
    assert "between seeds" in printed
    first = project.snapshot()
    project.ok("interpret")
    assert project.snapshot() == first  # the same seed, the same bytes
    pairs = table("stability")
    assert pairs[["between", "seed_a", "seed_b"]].to_numpy().tolist() == [["seeds", 3, 5]]
    assert pairs["correlation"].iloc[0] == pytest.approx(metrics["stability"], abs=1e-6)


def test_planted_truth_of_the_simulator(project):
    """Each cell type's own direction of the marks (simulate.cell_specificity: 1) is recovered."""
    cells = ["E003", "E116", "E123"]
    project.set("simulate.cells", cells)
    project.set("simulate.genes", 600)
    project.set("simulate.cell_specificity", 1.0)
    project.set("simulate.depth", "equal")
    project.ok("simulate")
    train(project, "linear_mean", interpret__genes=60)
    project.ok("interpret")
    found = table("cells").pivot(index="cell", columns="mark", values="attribution")[list(MARKS)]
    for cell in cells:
        truth = simulator._own_effect(cell, np.array([1.0]), 0).ravel()
        # marks go together, so beside the strongest the weaker ones need not show
        strongest = np.argsort(-np.abs(truth))[:2]
        signs = np.sign(found.loc[cell].to_numpy()[strongest])
        assert signs.tolist() == np.sign(truth[strongest]).tolist(), cell


@needs_real
@pytest.mark.parametrize("model", ["linear", "deepchrome"])
def test_known_biology_on_the_real_sample(project, model):
    shutil.copytree(REAL / "roadmap-subset", project.raw, dirs_exist_ok=True)
    shutil.copy(REAL / "57epigenomes.RPKM.pc.gz", project.raw)
    train(project, model, models__deepchrome__epochs=5, interpret__genes=40)
    printed = project.ok("interpret")
    metrics, marks = results(project)
    assert marks.loc[["H3K4me3", "H3K36me3"], "sign"].tolist() == ["up", "up"]
    assert marks.loc[["H3K27me3", "H3K9me3"], "sign"].tolist() == ["down", "down"]
    for method in ("occlusion", "linear"):
        known = marks.drop(index="H3K4me1")[method]
        assert (np.sign(known) == np.sign(marks["attribution"][known.index])).all()
    # read by itself H3K9me3 says the opposite: high genes have a little more of everything
    assert marks.loc["H3K9me3", "genes"] > 0
    assert abs(metrics["redrawn_correlation"]) < 0.3
    assert "Roadmap data" in printed
    if model == "deepchrome":
        assert marks.loc["H3K4me3", "to_kb"] < 1.6  # around the TSS
        assert marks.loc["H3K36me3", "to_kb"] > 3  # along the gene's body


@pytest.mark.parametrize(("key", "value"), [("baselines", 3), ("genes", 1), ("start", 2)])
def test_a_bad_parameter_is_refused(small, key, value):
    small.set(f"interpret.{key}", value)
    assert f"interpret.{key}: " in small.refused("interpret")


def test_models_of_other_data_are_refused(small):
    small.set("model", "linear")
    small.set("models.linear.epochs", 2)
    for stage in ("ingest", "validate", "train"):
        small.ok(stage)
    small.set("data.orient", "genomic")
    small.set("data.h3k4me3_doubled", False)
    small.ok("ingest")
    assert "run 'dvc repro train'" in small.refused("interpret")


def test_only_a_trained_generator_of_the_same_data_is_used(tmp_path, capsys):
    models = models_of(tmp_path, VARIANTS["linear"])
    info = {"cells": ["E003"], "values": "counts", "state": "trained", "dataset": "none"}
    info |= {"finite": True, "settings": {"seed": 0}}
    network = Network(torch.zeros(2, N_BINS, len(MARKS)))

    def saved(**changed):
        shutil.rmtree(tmp_path / "gan", ignore_errors=True)
        save(tmp_path / "gan", network, info | changed)
        return interpret.read_generator(str(tmp_path / "gan"), models)

    source = saved()
    params = InterpretParams(genes=10, baselines=2, starts=1, seed=0)
    found = optimise(models, small_cell(counts(40)), params, source)
    assert set(found.table["method"]) == {"unconstrained", "generator", "genes"}
    assert found.generated.shape == (len(MARKS),)
    assert saved(state="collapsed") is None
    assert "the generator has collapsed" in capsys.readouterr().out
    assert saved(cells=["E004"]) is None
    with pytest.raises(DeepChromeError, match="run 'dvc repro gan'"):
        saved(dataset="other")
