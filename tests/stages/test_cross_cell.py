"""The cross_cell stage: what it writes for one, two and four cell types."""

import json

import numpy as np
import pandas as pd
import pytest

from conftest import write_raw
from deepchrome.data.dataset import Dataset
from deepchrome.evaluation.cross_cell import label_agreement
from deepchrome.evaluation.metrics import auroc

KEYS = [
    "dataset",
    "within_mean",
    "between_mean",
    "gap",
    "gap_ci95",
    "no_chromatin_auroc",
    "switching_auroc",
    "switching_difference_auroc",
    "shuffled_auroc",
    "verdict",
]


def trained(project, **params):
    """Ingest and train simulated data; what `validate` does is tested elsewhere."""
    (project.raw / "simulated.json").write_text("{}")
    project.set("model", "linear")
    project.set("models.linear.epochs", 5)
    for key, value in params.items():
        project.set(key.replace("__", "."), value)
    project.ok("ingest")
    passed = {"dataset": Dataset("data/dataset").hash}
    (project.path / "metrics/validate.json").write_text(json.dumps(passed))
    project.ok("train")


def run(project, cells=("E003", "E016", "E116", "E123"), **params):
    write_raw(project.raw, cells)
    trained(project, **params)
    printed = project.ok("cross_cell")
    return json.loads((project.path / "metrics/cross_cell.json").read_text()), printed


def table(name):
    return pd.read_csv(f"plots/cross_cell/{name}.csv")


def check_against_predictions():
    """Recompute one pair from the parquet file and the labels."""
    scores = pd.read_parquet("predictions/cross_cell.parquet").set_index(
        ["train_cell", "test_cell", "gene_id"]
    )
    scores = scores.sort_index()
    label = scores["label"]["E003"].unstack("test_cell").astype(float)
    switch = label.index[label["E003"] != label["E123"]]
    pairs = table("pairs").set_index(["train_cell", "test_cell"]).loc[("E003", "E123")]
    assert pairs["switching_genes"] == len(switch)
    odds = scores["log_odds"]
    here, there = odds["E003", "E123"][switch], odds["E003", "E003"][switch]
    expected = auroc(label.loc[switch, "E123"], here)
    assert pairs["switching"] == pytest.approx(expected, abs=1e-6)
    expected = auroc(label.loc[switch, "E003"], there - here)
    assert pairs["difference"] == pytest.approx(expected, abs=1e-6)

    known = Dataset("data/dataset").labels.pivot(index="gene_id", columns="cell", values="rpkm")
    baseline = np.log1p(known.drop(columns="E123")).mean(axis=1)[label.index]
    found = table("cells").set_index("cell").loc["E123"]
    assert found["no_chromatin"] == pytest.approx(auroc(label["E123"], baseline), abs=1e-6)
    assert found["averaged_cells"] == 3


def test_four_cell_types(project, pictures):
    metrics, printed = run(project)
    check_against_predictions()
    assert list(metrics) == KEYS
    assert metrics["verdict"] in ("same", "differs", "undecided")
    text = (project.path / "plots/cross_cell/verdict.txt").read_text().strip()
    assert text in " ".join(printed.split()) or text in printed
    low, high = metrics["gap_ci95"]
    assert low < metrics["gap"] < high

    matrix = table("auroc")
    assert list(matrix.columns) == ["train_cell", "test_cell", "n", "auroc"]
    own = matrix["train_cell"] == matrix["test_cell"]
    assert metrics["within_mean"] == pytest.approx(matrix.loc[own, "auroc"].mean(), abs=1e-6)
    assert metrics["between_mean"] == pytest.approx(matrix.loc[~own, "auroc"].mean(), abs=1e-6)
    assert metrics["gap"] == pytest.approx(
        metrics["within_mean"] - metrics["between_mean"], abs=2e-6
    )
    project.ok("evaluate")
    evaluated = json.loads((project.path / "metrics/evaluate.json").read_text())
    assert evaluated["auroc"] == metrics["within_mean"]

    pairs = table("pairs")
    assert len(pairs) == 12
    by_pair = matrix.set_index(["train_cell", "test_cell"])["auroc"]
    for row in pairs.itertuples():
        assert row.auroc == pytest.approx(by_pair[row.train_cell, row.test_cell], abs=1e-5)
    cells = table("cells")
    assert cells["cell"].tolist() == ["E003", "E016", "E116", "E123"]
    assert cells["own"].mean() == pytest.approx(metrics["gap"], abs=1e-5)
    assert table("decomposition")["share"].sum() == pytest.approx(1, abs=1e-5)
    assert table("lineage")["pairs"].dropna().tolist() == [1, 5]
    for name in ("auroc", "controls", "decomposition", "lineage", "clusters"):
        pictures.check(project.path / f"plots/cross_cell/{name}.png")
    assert not (project.path / "plots/cross_cell/published.csv").exists()


def test_two_cell_types(project):
    metrics, printed = run(project, ("E003", "E123"))
    assert "95% CI over genes " in printed
    assert "genes and cell types" not in printed
    assert None not in metrics.values()
    assert not (project.path / "plots/cross_cell/lineage.csv").exists()


def test_one_cell_type(project):
    metrics, printed = run(project, ("E003",))
    assert list(metrics) == KEYS
    assert [metrics[key] for key in KEYS[2:]] == [None] * 8
    assert "nothing between" in printed
    files = {path.name for path in (project.path / "plots/cross_cell").iterdir()}
    assert files == {"auroc.csv", "auroc.png"}


def test_without_an_expression_table(project):
    write_raw(project.raw)
    (project.raw / "57epigenomes.RPKM.pc.gz").unlink()
    trained(project, data__labels="published")
    assert "expression (RPKM) is not known" in project.ok("cross_cell")
    metrics = json.loads((project.path / "metrics/cross_cell.json").read_text())
    assert metrics["no_chromatin_auroc"] is None
    assert metrics["switching_auroc"] is not None


@pytest.mark.parametrize("margin", [0, -0.01, "wide"])
def test_a_bad_margin_is_refused(small, margin):
    small.set("cross_cell.equivalence_margin", margin)
    assert "cross_cell.equivalence_margin: found" in small.refused("cross_cell")


def test_label_agreement_is_over_genes_of_both(project):
    write_raw(project.raw)
    path = project.raw / "E123/classification/test.csv"
    rows = path.read_text().splitlines()
    path.write_text("\n".join(rows[300:]) + "\n")  # three genes less
    project.ok("ingest")
    data = Dataset("data/dataset")
    label = data.labels.pivot(index="gene_id", columns="cell", values="label").dropna()
    expected = (label["E003"] == label["E123"]).mean()
    found = label_agreement(data.labels)
    assert found.loc["E003", "E123"] == pytest.approx(expected)
    assert found.loc["E003", "E003"] == 1
