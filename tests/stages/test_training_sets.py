"""Training sets: who is in them, that identical ones train once, and what the stage writes."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from scipy.stats import spearmanr

from conftest import REAL, make_genes, needs_real, write_cell, write_raw, write_rpkm
from deepchrome.data import reference
from deepchrome.data.dataset import Dataset
from deepchrome.evaluation.training_sets import (
    SETS,
    by_correlation,
    correlation,
    curve_sizes,
    draws,
    name_of,
    published,
)
from deepchrome.params import TrainingSetsParams
from deepchrome.stages.training_sets import ALL, AS_ONE, Scored, bounded, effects, over_draws

CHOSEN = TrainingSetsParams(
    model="linear", cells="all", sets="correlation", high=0.8, somewhat=0.5, random=3, repeats=2
)
CELLS = ["A", "B", "C", "D", "E", "F"]


def similar(values):
    """Correlations of A with the others, in order."""
    table = pd.DataFrame(0.1, CELLS, CELLS)
    table.loc["A", CELLS[1:]] = values
    table.loc[CELLS[1:], "A"] = values
    return table


def sets_of(values, chosen=CHOSEN):
    return {one.name: set(one.cells) for one in by_correlation("A", similar(values), chosen)}


def test_sets_by_correlation():
    found = sets_of([0.9, 0.85, 0.6, 0.4, 0.2])
    assert list(found) == list(SETS)
    assert found["own"] == {"A"}
    assert found["exclusive_high"] == {"B", "C"}
    assert found["exclusive_somewhat"] == {"B", "C", "D"}
    assert found["exclusive_all"] == {"B", "C", "D", "E", "F"}
    assert len(found["exclusive_random"]) == 3
    for kind in ("high", "somewhat", "all"):
        assert found[f"inclusive_{kind}"] == found[f"exclusive_{kind}"] | {"A"}
    assert "A" in found["inclusive_random"]
    assert len(found["inclusive_random"]) == 3
    assert all("A" not in cells for name, cells in found.items() if name.startswith("ex"))


def test_sets_are_never_empty_where_nothing_correlates():
    found = sets_of([0.3, 0.2, 0.1, 0.1, 0.1])
    assert found["exclusive_high"] == {"B"}
    assert found["exclusive_somewhat"] == {"B", "C"}


def test_a_cell_type_more_leaves_the_order_of_random_draws():
    few = [d.cells for d in draws(["A"], ["A", "B", "C"], 3) if len(d.cells) == 2]
    more = [d.cells for d in draws(["A"], ["A", "B", "C", "D"], 3) if len(d.cells) == 3]
    assert all(set(a) <= set(b) for a, b in zip(few, more, strict=True))


def test_the_curve_is_nested_and_exclusive():
    assert curve_sizes(7) == [1, 2, 4, 7]
    assert curve_sizes(1) == [1]
    for repeat in range(2):
        mine = [set(d.cells) for d in draws(["C"], CELLS, 2) if d.repeat == repeat]
        assert [len(cells) for cells in mine] == [1, 2, 4, 5]
        assert all(a < b for a, b in pairwise(mine))
        assert "C" not in mine[-1]


def test_names_tell_training_sets_apart():
    assert name_of(["A"], None) == "A"
    assert name_of(["A", "B"], None) == name_of(["B", "A"], None)
    names = {name_of(c, n) for c in (["A"], ["A", "B"], ["A", "C"]) for n in (None, 10)}
    assert len(names) == 6


def test_published_sets_as_far_as_at_hand():
    cells = ["E003", "E004", "E016", "E123"]
    found = {one.name: set(one.cells) for one in published("E003", cells)}
    assert found["own"] == {"E003"}
    assert found["inclusive_all"] == set(cells)
    assert found["exclusive_all"] == set(cells) - {"E003"}
    assert all("E003" not in c for name, c in found.items() if name.startswith("exclusive"))


@needs_real
def test_the_published_sets_follow_a_table_shifted_by_a_column():
    """What docs/training_sets.md says: read as pandas does by default, the table gives all sets."""
    path = REAL / "57epigenomes.RPKM.pc.gz"
    shifted = pd.read_csv(path, sep="\t")
    assert shifted["E128"].isna().all()
    right = pd.read_csv(path, sep="\t", index_col=False)
    cells = list(right.columns[2:-1])
    of_shifted, of_right = (table[:6601][cells].corr() for table in (shifted, right))
    table = reference.published_training_sets()
    belong, members = {}, {}
    for kind, threshold in (("high", 0.75), ("somewhat", 0.5)):
        for one in table[table["training_set"].str.endswith(kind)].itertuples():
            reached = of_shifted.index[of_shifted[one.test_cell] > threshold]
            own = {one.test_cell} if one.training_set.startswith("inclusive") else set()
            found = set(one.train_cells.split())
            assert found == set(reached) - {one.test_cell} | own
            if not own:
                near = of_right.index[of_right[one.test_cell] > threshold]
                belong[kind] = belong.get(kind, 0) + len(found & set(near))
                members[kind] = members.get(kind, 0) + len(found)
    assert (belong, members) == ({"high": 24, "somewhat": 384}, {"high": 120, "somewhat": 886})


def test_as_many_examples_as_the_smallest_cell_type_has():
    sizes = {"A": 50, "B": 30}
    assert bounded(("A",), sizes, 30) == 30
    assert bounded(("B",), sizes, 30) is None
    assert bounded(("A", "B"), sizes, 30) == 30


def test_effects_tell_more_data_from_more_diverse_data():
    values = {(1, ALL): 0.7, (1, AS_ONE): 0.6, (3, ALL): 0.9, (3, AS_ONE): 0.65}
    points = pd.DataFrame(
        [
            {"test_cell": cell, "repeat": r, "n_cells": n, "examples": e, "auroc": v + shift}
            for (n, e), v in values.items()
            for cell, shift in (("A", 0.0), ("B", 0.05))
            for r in range(2)
        ]
    )
    rng = np.random.default_rng(0)
    genes = rng.normal(0, 0.03, 200)  # what genes favour by chance, they favour in every model
    resampled = {
        at: pd.DataFrame({"A": v + genes, "B": v + 0.05 + genes}) for at, v in values.items()
    }
    scored = Scored(pd.DataFrame(), points, resampled)
    found = effects(scored)
    assert found["more_diverse"].value == pytest.approx(0.05)
    assert found["more_data"].value == pytest.approx(0.25)
    for one in found.values():
        assert one.low == pytest.approx(one.value)
        assert one.high == pytest.approx(one.value)
    curve = over_draws(scored).set_index(["n_cells", "examples"])
    assert curve.loc[(3, ALL), "auroc"] == pytest.approx(0.925)
    assert curve.loc[(3, ALL), "gain"] == pytest.approx(0.3)
    assert curve.loc[(1, AS_ONE), "gain"] == 0


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


def test_the_stage(ready):
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
        assert (ready.path / "plots/training_sets" / name).stat().st_size > 0
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
    ].set_index("gene_id")["score"]
    np.testing.assert_allclose(scores[mine.index.astype(str)], mine, atol=1e-5)


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
    table.to_parquet("data/dataset/labels.parquet")
    message = ready.refused("training_sets")
    assert "has no RPKM of E004" in message
    assert "training_sets.sets: published" in message
