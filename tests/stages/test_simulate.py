"""The simulated archive: the published layout, quirk by quirk."""

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest

from deepchrome import MARKS, SPLITS
from deepchrome.data import reference
from deepchrome.errors import DeepChromeError
from deepchrome.params import SimulateParams
from deepchrome.simulation.raw import choose_genes
from deepchrome.stages import simulate

CELLS = ["E003", "E123"]
COLUMNS = ["gene", "bin", *MARKS, "label"]


def params(**changes):
    defaults = {"cells": CELLS, "genes": 300, "seed": 0, "cell_specificity": 0.0}
    defaults |= {"interaction": 0.0, "depth": "calibrated"}
    return SimulateParams(**(defaults | changes))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "demo"
    simulate.run(params(), folder)
    return folder


def table(folder, cell, split):
    path = folder / cell / "classification" / f"{split}.csv"
    return pd.read_csv(path, header=None, names=COLUMNS, dtype={"gene": str})


def everything(folder, cell):
    return pd.concat([table(folder, cell, split) for split in SPLITS])


def fingerprints(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_are_those_of_the_archive(demo):
    names = {f"{c}/classification/{s}.csv" for c in CELLS for s in SPLITS}
    assert set(fingerprints(demo)) == names | {"57epigenomes.RPKM.pc.gz", "simulated.json"}
    first = (demo / "E003/classification/train.csv").read_text().splitlines()[0]
    fields = first.split(",")
    assert len(fields) == 8
    assert len(fields[0]) == 6
    assert fields[1] == "1"
    assert all(field.isdigit() for field in fields)


def test_bins_run_1_to_100_and_labels_are_one_a_gene(demo):
    for cell in CELLS:
        rows = everything(demo, cell)
        assert np.array_equal(rows["bin"], np.tile(np.arange(1, 101), len(rows) // 100))
        assert (rows.groupby("gene")["label"].nunique() == 1).all()
        assert set(rows["label"]) == {0, 1}


def test_h3k4me3_is_doubled_and_no_other_mark(demo):
    rows = everything(demo, "E003")
    odd = (rows[list(MARKS)] % 2).mean()
    assert odd["H3K4me3"] == 0
    assert (odd.drop("H3K4me3") > 0.2).all()


def test_seven_genes_come_twice_with_identical_rows_in_the_published_order(demo):
    published = reference.genes()
    twice = published["gene_id"][published["gene_id"].duplicated()]
    assert len(twice) == 7
    for split in SPLITS:
        rows = table(demo, "E003", split)
        blocks = rows["gene"].to_numpy()[::100]
        order = published.loc[published["published_split"] == split, "gene_id"].str[-6:]
        assert list(blocks) == [gene for gene in order if gene in set(blocks)]
    rows = everything(demo, "E003")
    size = rows.groupby("gene").size()
    assert set(size[size == 200].index) == set(twice.str[-6:])
    for gene in twice.str[-6:]:
        both = rows[rows["gene"] == gene].to_numpy()
        assert np.array_equal(both[:100], both[100:])
    assert len(size) == 300
    assert set(size) == {100, 200}


def test_bins_are_in_genomic_order_on_both_strands(demo):
    rows = everything(demo, "E123")
    strand = reference.genes().assign(gene=lambda t: t["gene_id"].str[-6:])
    strand = strand.drop_duplicates("gene").set_index("gene")["strand"]
    rows = rows[rows["label"] == 1]
    body = rows.groupby([rows["gene"].map(strand), rows["bin"] > 50])["H3K36me3"].mean()
    assert body["+", True] > 1.2 * body["+", False]
    assert body["-", False] > 1.2 * body["-", True]


def test_the_expression_table_has_roadmaps_form(demo):
    content = gzip.decompress((demo / "57epigenomes.RPKM.pc.gz").read_bytes()).decode()
    lines = content.split("\n")
    assert lines[0] == "gene_id\tE000\tE003\tE123"
    assert lines[-1] == ""
    assert all(line.endswith("\t") and line.count("\t") == 4 for line in lines[1:-1])
    assert len(lines) - 2 == 19_795
    for value in lines[1].split("\t")[1:-1]:
        assert len(value.split(".")[1]) == 3


def test_labels_compare_printed_numbers_as_text(demo):
    lines = gzip.decompress((demo / "57epigenomes.RPKM.pc.gz").read_bytes()).decode().split("\n")
    cells = [line.split("\t") for line in lines[1:-1]]
    for column, cell in ((2, "E003"), (3, "E123")):
        printed = {row[0][-6:]: row[column] for row in cells}
        median = f"{np.median([float(value) for value in printed.values()]):.3f}"
        label = everything(demo, cell).drop_duplicates("gene").set_index("gene")["label"]
        assert all(label[gene] == (printed[gene] > median) for gene in label.index)
        wrong = [label[g] != (float(printed[g]) > float(median)) for g in label.index]
        # as in the real table: the text rule errs where the median lies above 2
        assert (np.mean(wrong) > 0.05) == (cell == "E003")


def test_the_same_params_make_the_same_bytes(demo, tmp_path):
    simulate.run(params(), tmp_path / "again")
    assert fingerprints(tmp_path / "again") == fingerprints(demo)
    simulate.run(params(seed=1), tmp_path / "other")
    assert fingerprints(tmp_path / "other") != fingerprints(demo)


def test_another_cell_type_changes_none_of_the_others(demo, tmp_path):
    simulate.run(params(cells=["E123", "E071", "E003"]), tmp_path / "more")
    more = fingerprints(tmp_path / "more")
    for name, digest in fingerprints(demo).items():
        if name.startswith("E"):
            assert more[name] == digest


def test_more_genes_contain_fewer():
    some, more = choose_genes(100, 3), choose_genes(1000, 3)
    assert len(some) == 100
    assert len(more) == 1000
    assert set(some) < set(more)
    assert set(choose_genes(19_795, 3)) == set(reference.genes()["gene_id"])
    assert set(choose_genes(100, 4)) != set(some)


def test_processes_write_what_one_process_writes(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(simulate, "processes_for", lambda seconds, items: 2)
    simulate.run(params(), tmp_path / "parallel")
    assert fingerprints(tmp_path / "parallel") == fingerprints(demo)


def test_bad_cell_types_are_named_and_change_nothing(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "earlier").write_text("kept")
    with pytest.raises(DeepChromeError, match=r"'E0003'.*did you mean 'E003'"):
        simulate.run(params(cells=["E003", "E0003"]), tmp_path / "demo")
    assert (tmp_path / "demo" / "earlier").read_text() == "kept"


def test_what_a_person_put_there_is_kept(demo, tmp_path):
    folder = tmp_path / "demo"
    simulate.run(params(cells=["E003"], genes=30), folder)
    simulate.run(params(cells=["E003"], genes=30), folder)
    (folder / "my_cells").mkdir()
    (folder / "my_cells/counts.csv").write_text("mine")
    before = fingerprints(folder)
    with pytest.raises(DeepChromeError, match=r"simulate did not put there.*my_cells"):
        simulate.run(params(), folder)
    assert fingerprints(folder) == before
