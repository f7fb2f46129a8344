"""Published results beside ours: which, and where they are comparable."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from conftest import REAL, ROOT, needs_real, sealed
from datasets import write_info
from deepchrome import params
from deepchrome.data import reference
from deepchrome.data.dataset import Dataset
from deepchrome.data.label_rules import numeric_labels, text_labels
from deepchrome.data.sources import expression
from deepchrome.evaluation import decomposition, published_results
from deepchrome.evaluation.published_results import NOT_COMPARABLE
from deepchrome.figures import cross_cell, evaluation

ARCHITECTURES = {
    "deepchrome": "DeepChrome 2.0 CNN max-pool",
    "deepchrome_avg": "DeepChrome 2.0 CNN avg-pool",
    "deepchrome_strided": "DeepChrome 2.0 CNN strided",
    "fully_connected": "DeepChrome 2.0 fully connected",
    "linear": "DeepChrome 2.0 linear max (best of 5 seeds)",
    "linear_sum": "DeepChrome 2.0 linear sum (best of 5 seeds)",
    "linear_mean": "DeepChrome 2.0 linear mean (best of 5 seeds)",
    "linear_median": "DeepChrome 2.0 linear median (best of 5 seeds)",
    "linear_min": "DeepChrome 2.0 linear min (best of 5 seeds)",
    "attentive": "AttentiveChrome (rerun 2021)",
    "transformer": "TransformChrome 2021",
}


def info(architecture, options=None, reduce=None):
    """What model.json says of a model."""
    return {
        "architecture": architecture,
        "options": options or {},
        "preprocessing": {"reduce": reduce},
    }


@pytest.mark.parametrize(("variant", "source"), ARCHITECTURES.items())
def test_every_variant_has_its_published_like(variant, source):
    known = params.load(ROOT / "params.yaml").models
    if variant not in known:
        pytest.skip(f"params.yaml has no {variant}")
    one = known[variant]
    first = published_results.within(info(one.architecture, one.options, one.reduce)).iloc[0]
    assert first["source"] == source
    assert first["same_architecture"]


def test_a_new_architecture_is_shown_beside_all():
    table = published_results.within(info("mine"))
    assert not table["same_architecture"].any()
    assert table["source"].nunique() == 13
    assert not table["source"].str.contains("training set").any()


def test_the_published_matrix_has_its_diagonal():
    table = published_results.matrix()
    wide = table.pivot(index="train_cell", columns="test_cell", values="published")
    assert wide.shape == (55, 55)
    assert not wide.isna().any(axis=None)
    off = table["train_cell"] != table["test_cell"]
    assert table.loc[off, "published"].mean() == pytest.approx(0.755, abs=5e-4)
    assert table.loc[~off, "published"].mean() == pytest.approx(0.771, abs=5e-4)


def test_the_published_training_sets():
    table = published_results.training_sets()
    means = table.groupby("training_set")["published"].mean()
    assert len(means) == 9
    assert means["exclusive_all"] == pytest.approx(0.809, abs=5e-4)
    assert means["inclusive_all"] == pytest.approx(0.810, abs=5e-4)
    assert means["own"] == pytest.approx(0.771, abs=5e-4)
    for row in table.itertuples():
        members = row.train_cells.split()
        assert members
        inclusive = row.training_set == "own" or row.training_set.startswith("inclusive")
        assert (row.test_cell in members) == inclusive


@pytest.fixture
def dataset(tmp_path):
    """A dataset as far as `beside` reads it: E003 has labels unlike the archive's, E123 has not."""

    def make(source="roadmap"):
        write_info(tmp_path, ["E003", "E123"], source=source)
        rows = [("E003", "a", 1, 0), ("E003", "b", 0, 0), ("E123", "a", 1, 1)]
        columns = ["cell", "gene_id", "label", "published_label"]
        sealed(pd.DataFrame(rows, columns=columns), tmp_path / "labels.parquet")
        return Dataset(tmp_path)

    return make


OURS = pd.DataFrame({"cell": ["E003", "E123", "mine"], "auroc": [0.9, 0.8, 0.7]})


def test_beside_joins_and_subtracts(dataset):
    table = published_results.beside(dataset(), OURS, published_results.within(info("mine")))
    known = reference.published_auroc().set_index(["source", "cell"])["auroc"]
    assert set(table["cell"]) == {"E003", "E123"}
    for row in table.itertuples():
        assert row.published == known[row.source, row.cell]
        assert row.difference == pytest.approx(row.ours - row.published)
    assert (table["comparable"] == (table["cell"] == "E123")).all()
    assert (table["reason"] == table["cell"].map({"E003": NOT_COMPARABLE, "E123": ""})).all()


def test_a_pair_is_comparable_where_both_labels_are_the_archives(dataset):
    pairs = [("E123", "E123"), ("E003", "E123"), ("E123", "E003")]
    ours = pd.DataFrame(pairs, columns=["train_cell", "test_cell"]).assign(auroc=0.8)
    table = published_results.beside(dataset(), ours, published_results.matrix())
    found = table.set_index(["train_cell", "test_cell"])["comparable"]
    assert found.to_dict() == dict(zip(pairs, [True, False, False], strict=True))


def test_a_training_set_is_comparable_where_all_its_labels_are(dataset):
    ours = pd.DataFrame(
        {"training_set": ["own", "exclusive_all"], "test_cell": "E123", "auroc": 0.8}
    )
    table = published_results.beside(dataset(), ours, published_results.training_sets())
    found = table.set_index("training_set")["comparable"]
    assert found.to_dict() == {"own": True, "exclusive_all": False}


@pytest.mark.parametrize("source", ["simulated", "own"])
def test_never_beside_other_data(dataset, source):
    assert (
        published_results.beside(dataset(source), OURS, published_results.within(info("mine")))
        is None
    )


def test_nothing_where_no_cell_type_is_of_both(dataset):
    ours = OURS[OURS["cell"] == "mine"]
    assert published_results.beside(dataset(), ours, published_results.within(info("mine"))) is None


@pytest.fixture(autouse=True)
def only_figures_of_published_results(monkeypatch):
    for module, name in ((evaluation, "curves"), (cross_cell, "matrix"), (cross_cell, "controls")):
        monkeypatch.setattr(module, name, lambda *_: None)


def stages(project, labels, simulated=False):
    """Run evaluate and cross_cell; return what they print."""
    (project.raw / "simulated.json").unlink(missing_ok=True)
    if simulated:
        (project.raw / "simulated.json").write_text("{}")
    project.set("data.labels", labels)
    project.set("model", "linear")
    project.set("models.linear.epochs", 5)
    project.ok("ingest")
    passed = {"dataset": Dataset("data/dataset").hash}
    (project.path / "metrics/validate.json").write_text(json.dumps(passed))
    project.ok("train")
    return project.ok("evaluate"), project.ok("cross_cell")


def tables(project):
    return [
        pd.read_csv(project.path / f"plots/{stage}/published.csv", keep_default_na=False)
        for stage in ("evaluate", "cross_cell")
    ]


def drawn(project):
    return [
        (project.path / f"plots/{stage}/published.png").exists()
        for stage in ("evaluate", "cross_cell")
    ]


def test_on_published_labels_all_are_comparable_and_simulated_data_stand_alone(small):
    for printed in stages(small, "published"):
        assert "comparable)" in printed
        assert "not comparable" not in printed
    for table in tables(small):
        assert table["comparable"].all()
        assert (table["reason"] == "").all()
    assert drawn(small) == [True, True]
    for printed in stages(small, "published", simulated=True):
        assert "published" not in printed
    assert drawn(small) == [False, False]


def test_on_corrected_labels_those_that_differ_are_not(small):
    for printed in stages(small, "rpkm"):
        assert "not comparable" in printed
        assert "49 of 56" in printed
    within, matrix = tables(small)
    assert not within["comparable"].any()
    assert (within["reason"] == NOT_COMPARABLE).all()
    assert not matrix["comparable"].any()
    assert drawn(small) == [True, True]


@needs_real
@pytest.mark.parametrize(
    ("labels", "comparable"), [("published", {"E003", "E123"}), ("rpkm", {"E123"})]
)
def test_the_real_sample(project, labels, comparable):
    """E123's labels are right in the archive, E003's are not."""
    shutil.copytree(REAL / "roadmap-subset", project.raw)
    shutil.copy(REAL / "57epigenomes.RPKM.pc.gz", project.raw)
    stages(project, labels)
    within, matrix = tables(project)
    assert set(within.loc[within["comparable"], "cell"]) == comparable
    assert within["source"].iloc[0] == "DeepChrome 2.0 linear max (best of 5 seeds)"
    assert len(matrix) == 4
    pairs = matrix.loc[matrix["comparable"], ["train_cell", "test_cell"]]
    assert set(pairs.stack()) == comparable
    assert len(pairs) == len(comparable) ** 2
    ours = within.set_index("cell")["ours"]
    assert ours["E123"].iloc[0] == pytest.approx(0.89, abs=0.04)


def test_the_numbers_of_the_docs_page(capsys):
    """docs/cross_cell.md: rows, columns and interaction of the published matrix."""
    page = (ROOT / "docs/cross_cell.md").read_text()
    exec(page.split("```python\n")[1].split("```")[0], {})
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines()[1:4])
    assert printed == {"columns": "0.38", "rows": "0.52", "interaction": "0.10"}
    assert "Columns make 38% of the variance, rows 52%" in page


@needs_real
def test_published_columns_follow_the_flipped_labels():
    rpkm = expression.read_rpkm(REAL / "57epigenomes.RPKM.pc.gz")
    wide = published_results.matrix().pivot(
        index="train_cell", columns="test_cell", values="published"
    )
    flipped = []
    for cell in wide.index:
        values, median = rpkm[cell].to_numpy(), float(rpkm[cell].median())
        texts, numbers = (rule(values, median) for rule in (text_labels, numeric_labels))
        flipped.append(np.mean(texts != numbers))
    columns = decomposition.effects(wide.to_numpy()).columns
    assert np.corrcoef(columns, flipped)[0, 1] == pytest.approx(-0.94, abs=0.005)
