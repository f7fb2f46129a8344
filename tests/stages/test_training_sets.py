"""The training_sets stage: identical sets train once, and what it writes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from scipy.special import expit
from scipy.stats import spearmanr

from conftest import make_genes, sealed, write_cell, write_raw, write_rpkm
from deepchrome.data.dataset import Dataset
from deepchrome.evaluation.training_sets import SETS, correlation


@pytest.fixture
def ready(project, kept):
    """Three validated cell types and a small linear model."""
    write_raw(project.raw, cells=("E003", "E004", "E123"))
    project.set("models.linear.epochs", 3)
    project.set("training_sets.repeats", 2)
    project.once(kept, "ingest", "validate")
    return project


def test_correlation_is_spearmans_over_training_genes(ready):
    data = Dataset("data/dataset")
    found = correlation(data)
    labels = data.labels.assign(split=data.labels["gene_id"].map(data.genes["split"]))
    wide = labels[labels["split"] == "train"].pivot(index="gene_id", columns="cell", values="rpkm")
    expected = spearmanr(np.log1p(wide["E003"]), np.log1p(wide["E123"])).statistic
    assert found.loc["E003", "E123"] == pytest.approx(expected)
    test_genes = data.labels["gene_id"].map(data.genes["split"]) != "train"
    data.labels.loc[test_genes, "rpkm"] *= -1
    pd.testing.assert_frame_equal(correlation(data), found)


def test_the_stage(ready, pictures):
    printed = ready.ok("training_sets")
    # 3 cell types, 3 pairs and all of them; 3 pairs with as many genes as one cell type has
    assert "10 models for 27 training sets and 12 points of the curve" in printed
    assert "2 other cell types instead of one" in printed
    summary = metrics(ready)
    effect = ["more_diverse", "more_diverse_ci95", "more_data", "more_data_ci95"]
    assert list(summary) == ["dataset", *SETS, *effect]
    low, high = summary["more_data_ci95"]
    assert low < summary["more_data"] < high
    table = pd.read_csv("plots/training_sets/auroc.csv")
    own = table[table["training_set"] == "own"]
    assert (own["difference"] == 0).all()
    assert summary["own"] == pytest.approx(own["auroc"].mean(), abs=1e-6)
    assert (table["low"] <= table["difference"]).all()
    assert (table["difference"] <= table["high"]).all()
    members = pd.read_csv("plots/training_sets/sets.csv").set_index(["test_cell", "training_set"])
    assert members.loc[("E003", "inclusive_all"), "train_cells"] == "E003 E004 E123"
    assert members.loc[("E003", "inclusive_all"), "examples"] == 120
    curve = pd.read_csv("plots/training_sets/curve.csv")
    single = curve[curve["n_cells"] == 1].pivot_table(
        index=["test_cell", "repeat"], columns="examples", values="auroc"
    )
    assert (single["all"] == single["as one cell type"]).all()
    means = pd.read_csv("plots/training_sets/means.csv").set_index("training_set")
    assert means.loc["exclusive_all", "n_cells"] == 2
    assert means.loc["own", "n_cells"] == 1
    curve_means = pd.read_csv("plots/training_sets/curve_means.csv")
    assert list(curve_means["n_cells"]) == [1, 1, 2, 2]
    assert (curve_means["low"] <= curve_means["gain"]).all()
    for name in ("sets.png", "curve.png"):
        pictures.check(ready.path / "plots/training_sets" / name)
    # inclusive_all is one model, the pooled one
    predicted = pd.read_parquet("predictions/training_sets.parquet")
    assert set(predicted["train_cell"]) == set(SETS)
    assert set(predicted["split"]) == {"test"}
    ready.ok(
        "predict", "--input", "data/raw/demo/E003/classification/test.csv", "--model", "pooled",
        "--output", "scores.csv",
    )  # fmt: skip
    scores = pd.read_csv("scores.csv").set_index("gene_id")["score"]
    mine = predicted[
        (predicted["train_cell"] == "inclusive_all") & (predicted["test_cell"] == "E003")
    ].set_index("gene_id")["log_odds"]
    np.testing.assert_allclose(scores[mine.index.astype(str)], expit(mine), atol=1e-5)


def metrics(project) -> dict:
    return json.loads((project.path / "metrics/training_sets.json").read_text())


def test_own_is_the_model_of_the_train_stage(ready):
    ready.set("model", "linear")
    for stage in ("train", "evaluate", "training_sets"):
        ready.ok(stage)
    evaluated = json.loads((ready.path / "metrics/evaluate.json").read_text())
    assert metrics(ready)["own"] == pytest.approx(evaluated["auroc"], abs=1e-4)


def test_a_cell_type_of_its_own_kind_learns_nothing_from_others(project):
    columns = {cell: make_genes(80, seed) for seed, cell in enumerate(("E003", "E004", "E123"))}
    for gene in columns["E123"]:  # high where the others are low
        gene.counts = gene.counts[:, [3, 1, 2, 0, 4]]
        gene.counts[:, 1] = 1
    for cell, genes in columns.items():
        write_cell(project.raw, cell, genes)
    write_rpkm(project.raw, columns)
    project.set("data.h3k4me3_doubled", False)
    project.set("models.linear.epochs", 10)
    for stage in ("ingest", "validate", "training_sets"):
        project.ok(stage)
    found = pd.read_csv("plots/training_sets/auroc.csv").set_index(["test_cell", "training_set"])
    assert found.loc[("E123", "own"), "auroc"] > 0.9
    assert found.loc[("E123", "exclusive_all"), "auroc"] < 0.2
    assert found.loc[("E123", "exclusive_all"), "high"] < -0.5
    assert abs(found.loc[("E003", "exclusive_high"), "difference"]) < 0.1 or (
        found.loc[("E004", "exclusive_high"), "difference"] < 0.1
    )


def test_published_sets_of_which_none_is_here_are_left_out(project):
    write_raw(project.raw, cells=("E003", "E128"))
    project.set("models.linear.epochs", 2)
    project.set("training_sets.sets", "published")
    project.ok("ingest")
    project.ok("validate")
    printed = project.ok("training_sets")
    assert "exclusive_high: no cell type of the published set is here for E003, E128" in printed
    found = metrics(project)
    assert found["exclusive_high"] is None
    assert found["inclusive_all"] is not None
    assert found["more_data"] is None
    assert "published" in printed.splitlines()[-1]
    table = pd.read_csv("plots/training_sets/published.csv")
    assert "exclusive_high" not in set(table["training_set"])


def test_one_cell_type_has_only_itself(project):
    write_raw(project.raw, cells=("E003",))
    project.set("models.linear.epochs", 2)
    for stage in ("ingest", "validate", "training_sets"):
        project.ok(stage)
    found = metrics(project)
    assert found["inclusive_all"] == found["inclusive_high"] == found["own"]
    assert [found[f"exclusive_{kind}"] for kind in ("high", "random", "all")] == [None] * 3
    assert not (project.path / "plots/training_sets/curve.csv").exists()


def test_test_genes_change_no_weight(ready):
    ready.set("data.h3k4me3_doubled", False)
    ready.ok("ingest")
    ready.ok("validate")
    ready.ok("training_sets")
    before = load_file("models/training_sets/weights.safetensors")
    for path in ready.raw.glob("*/classification/test.csv"):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        path.write_text("".join(",".join([*r[:2], *r[4:7], *r[2:4], r[7]]) + "\n" for r in rows))
    ready.ok("ingest")
    ready.ok("validate")
    ready.ok("training_sets")
    after = load_file("models/training_sets/weights.safetensors")
    for name, weight in before.items():
        np.testing.assert_array_equal(weight, after[name])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("training_sets.model", "linaer", "training_sets.model: found 'linaer'"),
        ("training_sets.somewhat", 0.9, "training_sets.somewhat: found 0.9, expected at most"),
        ("training_sets.cells", ["E003", "E124"], "'E124' is not in data/dataset"),
        ("training_sets.random", 1, "training_sets.random: found 1"),
    ],
)
def test_bad_params(ready, key, value, expected):
    ready.set(key, value)
    assert expected in ready.refused("training_sets")


def test_correlation_needs_expression(ready):
    table = pd.read_parquet("data/dataset/labels.parquet")
    table.loc[table["cell"] == "E004", "rpkm"] = np.nan
    sealed(table, Path("data/dataset/labels.parquet"))
    message = ready.refused("training_sets")
    assert "has no RPKM of E004" in message
    assert "training_sets.sets: published" in message
