"""audit-labels: whose labels are wrong, why, and what to do."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import REAL, make_genes, needs_real, write_cell, write_rpkm
from deepchrome import N_BINS, SPLITS
from deepchrome.data import reference
from deepchrome.data.label_rules import audit, numeric_labels, text_labels
from deepchrome.data.sources import published
from deepchrome.data.sources.expression import FILE_NAME, read_rpkm

UNAFFECTED = {"E056", "E057", "E059", "E100", "E116", "E117", "E123"}
RULES = {"text": text_labels, "numeric": numeric_labels}


@pytest.fixture(scope="module")
def rpkm():
    return read_rpkm(REAL / FILE_NAME).drop(columns="E000")


def write_labels(raw: Path, cell: str, gene_id, label) -> None:
    """Write a cell type whose counts are all 0; genes go to the three splits in turn."""
    folder = raw / cell / "classification"
    folder.mkdir(parents=True, exist_ok=True)
    for i, split in enumerate(SPLITS):
        with open(folder / f"{split}.csv", "w") as file:
            for gene, high in zip(gene_id[i::3], label[i::3], strict=True):
                number = gene.removeprefix(published.GENE_PREFIX)
                file.writelines(f"{number},{b + 1},0,0,0,0,0,{high}\n" for b in range(N_BINS))


@needs_real
def test_all_genes_of_56_cell_types(rpkm):
    assert set(rpkm) == set(reference.cell_types().index)
    for rule, make in RULES.items():
        named = set()
        for cell in rpkm:
            values, median = rpkm[cell].to_numpy(), float(rpkm[cell].median())
            found = audit(cell, make(values, median), values, median)
            assert found.verdict in (rule, "numeric")
            assert found.explained == found.disagree
            if found.disagree:
                named.add(cell)
        assert named == (set(rpkm) - UNAFFECTED if rule == "text" else set())


@needs_real
@pytest.mark.parametrize("rule", RULES)
def test_command_on_56_cell_types(project, rpkm, rule):
    raw = project.path / "raw"
    chosen = np.sort(np.random.default_rng(0).choice(len(rpkm), 90, replace=False))
    for cell in rpkm:
        label = RULES[rule](rpkm[cell].iloc[chosen], float(rpkm[cell].median()))
        write_labels(raw, cell, rpkm.index[chosen], label)
    (raw / FILE_NAME).symlink_to(REAL / FILE_NAME)
    found = json.loads(project.ok("audit-labels", "--raw", raw, "--json"))
    verdicts = {row["cell"]: row["verdict"] for row in found["cells"]}
    affected = set(rpkm) - UNAFFECTED if rule == "text" else set()
    assert {cell for cell, verdict in verdicts.items() if verdict == "text"} == affected
    assert {cell for cell, verdict in verdicts.items() if verdict == "numeric"} == (
        set(rpkm) - affected
    )
    assert found["affected"] == len(affected)
    printed = project.ok("audit-labels", "--raw", raw)
    assert all(cell in printed for cell in rpkm)
    if affected:
        assert "49 of 56 cell types are affected" in printed
        assert "data.labels: rpkm" in printed
    else:
        assert "All labels of 56 cell types agree" in printed
        assert "data.labels" not in printed


def test_json_says_what_the_table_says(small):
    genes = make_genes(40, seed=0)
    values = np.array([gene.rpkm for gene in genes])
    median = float(np.median(values))
    wrong = text_labels(values, median) != numeric_labels(values, median)
    found = json.loads(small.ok("audit-labels", "--raw", "data/raw/demo", "--json"))
    row = found["cells"][0]
    assert (row["cell"], row["genes"], row["high"]) == ("E003", 120, 0.5)
    assert row["disagree"] == row["explained"] == wrong.sum() > 0
    assert row["disagree_share"] == pytest.approx(wrong.mean(), abs=1e-4)
    assert row["explained_share"] == 1
    assert (found["skipped"], found["genes_without_rpkm"]) == ([], 0)
    assert f"{wrong.mean():.1%}" in small.ok("audit-labels", "--raw", "data/raw/demo")


@pytest.mark.parametrize("width", ["80", "120"])
def test_table_fits(small, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    lines = small.ok("audit-labels", "--raw", "data/raw/demo").splitlines()
    assert max(len(line) for line in lines if line.startswith(("┏", "│", "└"))) <= int(width)
    assert any("verdict" in line for line in lines)


def test_neither_rule(small):
    genes = make_genes(40, seed=0)
    shuffled = np.random.default_rng(0).permutation(np.arange(120) % 2)
    write_labels(small.raw, "E003", [gene.gene_id for gene in genes], shuffled)
    found = json.loads(small.ok("audit-labels", "--raw", "data/raw/demo", "--json"))
    assert found["cells"][0]["verdict"] == "unexplained"
    assert "Neither rule explains the labels of E003." in small.ok(
        "audit-labels", "--raw", "data/raw/demo"
    )


def test_without_expression(small):
    genes = make_genes(40, seed=0)
    write_cell(small.raw, "X001", genes)
    write_rpkm(small.raw, {"E003": genes[:-3]})
    printed = small.ok("audit-labels", "--raw", "data/raw/demo")
    assert "Skipped, no expression or empty files: E123, X001" in printed
    assert "Left out: 3 genes that the expression table lacks" in printed
    found = json.loads(small.ok("audit-labels", "--raw", "data/raw/demo", "--json"))
    assert found["skipped"] == ["E123", "X001"]
    assert found["genes_without_rpkm"] == 3
    assert [row["genes"] for row in found["cells"]] == [117]
    write_rpkm(small.raw, {"E099": genes})
    assert "no column for cell type E003" in small.refused("audit-labels", "--raw", "data/raw/demo")
    (small.raw / FILE_NAME).unlink()
    assert f"{FILE_NAME}: no such file" in small.refused("audit-labels", "--raw", "data/raw/demo")


def test_nothing_there(project):
    assert "nowhere: no such directory" in project.refused("audit-labels", "--raw", "nowhere")
    (project.path / "empty").mkdir()
    assert "no cell types here" in project.refused("audit-labels", "--raw", "empty", "--json")


def edit(path: Path, change) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: lines[:-1], "99 of 100 bins. Is the file cut short?"),
        (lambda lines: [lines[0][:-1] + "2", *lines[1:]], "line 1: gene ENSG00000000003, label"),
        (lambda lines: ["x" + lines[0], *lines[1:]], "line 1: gene: found 'x000003'"),
        (lambda lines: [lines[0][:-2], *lines[1:]], "line 1: found 7 columns"),
        (
            lambda lines: [lines[0][:-1] + str(1 - int(lines[0][-1])), *lines[1:]],
            "rows labelled 0 and rows labelled 1",
        ),
        (
            lambda lines: lines + ["000001" + line[6:] for line in lines[:100]],
            "gene ENSG00000000001 is in both train.csv and test.csv",
        ),
    ],
)
def test_damaged_files(small, change, expected):
    edit(small.raw / "E003/classification/test.csv", change)
    assert expected in small.refused("audit-labels", "--raw", "data/raw/demo")


def test_missing_file(small):
    (small.raw / "E003/classification/test.csv").unlink()
    assert "test.csv missing" in small.refused("audit-labels", "--raw", "data/raw/demo")


def test_labels_alone_are_those_of_the_whole_file(small):
    edit(small.raw / "E003/classification/train.csv", lambda lines: lines[::-1] + lines[:100])
    whole, _ = published.read_splits(small.raw, "E003")
    gene_id, label = published.read_labels(small.raw, "E003")
    assert whole.repeated
    assert list(gene_id) == list(whole.gene_id)
    np.testing.assert_array_equal(label, whole.label)


def test_published_results():
    auroc = reference.published_auroc()
    assert auroc["source"].nunique() == 21
    assert set(auroc["cell"]) == set(reference.cell_types().index)
    assert auroc["auroc"].between(0.4, 1).all()
    crossed = reference.published_cross_cell()
    assert (crossed["train_cell"] != crossed["test_cell"]).all()
    assert crossed["auroc"].mean() == pytest.approx(0.755, abs=5e-4)
    sets = reference.published_training_sets()
    assert set(" ".join(sets["train_cells"]).split()) <= set(reference.cell_types().index)
