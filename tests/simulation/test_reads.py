"""simulate-reads, and from its reads to the cross-cell matrix."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from deepchrome import MARKS
from deepchrome.data.dataset import Dataset
from deepchrome.simulation import reads as simulated_reads
from deepchrome.simulation.reads import Cell, place

CELLS = [Cell("mine", "E118"), Cell("E123", "E123")]


@pytest.fixture
def simulated(project):
    project.ok("simulate-reads", "--cells", "mine=E118,E123", "--genes", "150")
    project.set("data.raw", "data/raw/reads")
    return project


def test_reads_give_back_the_counts_they_were_made_from(simulated):
    simulated.ok("ingest")
    data = Dataset("data/dataset")
    assert data.info["source"] == "simulated"
    table = simulated_reads.choose_apart(150, 0)
    rpkm = simulated_reads.expression(table, CELLS, 0)
    for cell in CELLS:
        loaded = data.load(cell.name)
        assert loaded.gene_id.tolist() == table.index.tolist()
        expected = simulated_reads.counts(table, cell, rpkm[cell.name].to_numpy(), 0)
        np.testing.assert_array_equal(loaded.X, expected)
        assert expected.sum() > 100_000
        high = rpkm[cell.name] > rpkm[cell.name].median()
        np.testing.assert_array_equal(loaded.y, high)


def test_from_reads_to_the_cross_cell_matrix(simulated, pictures):
    simulated.set("model", "linear")
    simulated.set("models.linear.epochs", 20)
    for stage in ("ingest", "validate", "train", "cross_cell"):
        simulated.ok(stage)
    matrix = pd.read_csv(simulated.path / "plots/cross_cell/auroc.csv")
    assert set(matrix["train_cell"]) == set(matrix["test_cell"]) == {"mine", "E123"}
    assert (matrix["auroc"] > 0.7).all()  # the simulated relation is there to be found
    rows = pd.read_parquet("predictions/cross_cell.parquet")
    for pair in matrix.itertuples():
        of = (rows["train_cell"] == pair.train_cell) & (rows["test_cell"] == pair.test_cell)
        some = rows[of & (rows["split"] == "test")]
        auroc = roc_auc_score(some["label"], some["log_odds"])
        assert pair.auroc == pytest.approx(auroc, abs=1e-6)
    for picture in ("auroc.png", "controls.png"):
        pictures.check(simulated.path / "plots/cross_cell" / picture)


def test_reads_lie_on_both_sides_of_ends_of_bins_and_between_windows(simulated):
    path = simulated.raw.parent / "reads/reads/mine-H3K4me3.tagAlign.gz"
    rows = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    assert {row[5] for row in rows} == {"+", "-"}
    assert {int(row[2]) - int(row[1]) for row in rows} == {36}
    assert rows == sorted(rows, key=lambda row: (row[0], int(row[1])))
    table = simulated_reads.choose_apart(150, 0)
    total = simulated_reads.counts(
        table, CELLS[0], simulated_reads.expression(table, CELLS, 0)["mine"].to_numpy(), 0
    )[:, :, MARKS.index("H3K4me3")].sum()
    # a third lie between windows; a quarter of the others cross and count twice
    assert 1.1 < len(rows) / total < 1.4


def test_the_same_seed_the_same_files(simulated, tmp_path):
    first = simulated.snapshot()
    simulated.ok("simulate-reads", "--cells", "mine=E118,E123", "--genes", "150")
    assert simulated.snapshot() == first
    simulated.ok("simulate-reads", "--cells", "mine=E118", "--genes", "150", "--seed", "1")
    assert json.loads((simulated.path / "data/raw/reads/simulated.json").read_text())["seed"] == 1


@pytest.mark.parametrize("seed", range(3))
def test_any_counts_can_be_placed(seed):
    rng = np.random.default_rng(seed)
    table = simulated_reads.choose_apart(40, 0).iloc[:20]
    wanted = rng.poisson(rng.choice([0.1, 2, 50], (20, 1)), (20, 100))
    reads = place(table, wanted, rng)
    found = np.zeros_like(wanted)
    for i, gene in enumerate(table.itertuples()):
        here = reads.loc[reads["chrom"] == gene.chrom, "start"] - (gene.tss - 5000)
        for b in range(100):
            found[i, b] = ((here < 100 * b + 100) & (here + 36 > 100 * b)).sum()
    np.testing.assert_array_equal(found, wanted)


def test_what_is_refused(simulated):
    assert "unknown cell type 'E999'" in simulated.refused("simulate-reads", "--cells", "a=E999")
    assert "named more than once" in simulated.refused("simulate-reads", "--cells", "E003,E003")
    assert "letters, digits" in simulated.refused("simulate-reads", "--cells", "../a=E003")
    (simulated.path / "precious").mkdir()
    (simulated.path / "precious/notes").write_text("x")
    assert "would be replaced" in simulated.refused("simulate-reads", "--output", "precious")
