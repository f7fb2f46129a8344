"""explain: one gene, by id or symbol, and names that do not exist."""

import re

import pytest

from conftest import write_raw
from deepchrome.data.dataset import Dataset
from deepchrome.training.store import Models


@pytest.fixture
def trained(project):
    """A project with trained linear models of two cell types and two seeds."""
    write_raw(project.raw)
    project.set("model", "linear")
    project.set("models.linear.epochs", 20)
    project.set("seeds", [0, 1])
    for stage in ("ingest", "validate", "train"):
        project.ok(stage)
    return project


GENE = "ENSG00000000003"  # TSPAN6; the third of the files, in the test split


def test_by_id_and_by_symbol(trained, pictures):
    printed = " ".join(trained.ok("explain", "--gene", GENE, "--cell", "E123").split())
    cell = Dataset("data/dataset").load("E123")
    at = cell.gene_id.tolist().index(GENE)
    expected = Models("models/train").predict(cell.X[at : at + 1], ["E123"]).mean()
    assert f"P(high) = {expected:.3f}" in printed
    assert f"TSPAN6 ({GENE}) in E123, a test gene" in printed
    assert f"it is {'high' if cell.y[at] else 'low'}, RPKM" in printed
    pushes = dict(re.findall(r"(H3K\w+) ([+-]\d\.\d\d)", printed))
    up, down = printed.split("Up: ")[1].split("; down: ")
    assert all(f"{mark} +" in up for mark, push in pushes.items() if push[0] == "+")
    assert all(f"{mark} -" in down for mark, push in pushes.items() if push[0] == "-")
    assert len(pushes) >= 3
    path = trained.path / "reports/explain/TSPAN6_E123.png"
    pictures.check(path)
    drawn = path.read_bytes()
    for name in ("tspan6", f"{GENE}.11"):
        again = trained.ok("explain", "--gene", name, "--cell", "E123", "--output", "a.png")
        assert " ".join(again.split()).rsplit(". ", 1)[0] == printed.rsplit(". ", 1)[0]
        assert (trained.path / "a.png").read_bytes() == drawn


def test_a_training_gene_says_so(trained):
    assert "a training gene" in trained.ok(
        "explain", "--gene", "ENSG00000000001", "--cell", "E003", "--output", "b.png"
    )


def test_unknown_names(trained):
    message = trained.refused("explain", "--gene", "TSPAM6", "--cell", "E003")
    assert "--gene 'TSPAM6': no such gene in data/dataset; did you mean 'TSPAN6'?" in message
    message = trained.refused("explain", "--gene", "ENSG00000000999", "--cell", "E003")
    assert "did you mean 'ENSG0000000" in message
    message = trained.refused("explain", "--gene", "TSPAN6", "--cell", "E03")
    assert "no model of cell type 'E03'; did you mean 'E003'?" in message
    message = trained.refused(
        "explain", "--gene", "TSPAN6", "--cell", "E003", "--models", "models/none"
    )
    assert "models/none/model.json: no such file" in message
    message = trained.refused(
        "explain", "--gene", "TSPAN6", "--cell", "E003", "--output", "gene.pdf"
    )
    assert "--output gene.pdf: expected a file that ends in .png" in message


def test_models_of_other_data_are_refused(trained):
    trained.set("data.h3k4me3_doubled", False)
    trained.ok("ingest")
    message = trained.refused("explain", "--gene", "TSPAN6", "--cell", "E003")
    assert "run 'dvc repro train'" in message
