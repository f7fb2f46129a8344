"""combine: raw directories of two layouts as one, and what it refuses."""

import gzip
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from conftest import make_genes, write_raw
from data.sources.test_samples import (
    CELLS,
    N_GENES,
    expected_counts,
    gene_rows,
    write_own,
    write_signal,
)
from deepchrome.data.dataset import Dataset

SHARED = 12
"""Genes that both directories have."""


@pytest.fixture
def both(project):
    """A project with a published and an own directory; some genes lie in both, others in one."""
    write_raw(project.raw)  # ENSG00000000001 to ...120
    project.own = project.path / "data/raw/mine"
    write_own(project.own)
    rename_genes(project.own)
    rows = ["gene_id\tchrom\ttss\tstrand"]
    # annotations differ by some bases
    shared = [(chrom, tss + 7) for _, chrom, tss, _ in gene_rows()[:SHARED]]
    for i, gene in enumerate(make_genes(40, 0)):
        chrom, tss = shared[i] if i < SHARED else (f"chr{i % 5 + 1}", 1_000_000 + i)
        rows.append(f"{gene.gene_id}\t{chrom}\t{tss}\t+")
    (project.raw / "genes.tsv").write_text("\n".join(rows) + "\n")
    project.set("data.genes", "demo/genes.tsv")  # as it lies in data.raw
    project.set("data.raw", "data/raw/both")
    return project


def renamed(i: int) -> str:
    return f"ENSG{i + 1 if i < SHARED else i + 1000:011d}"


def rename_genes(raw) -> None:
    """Give the first genes of the own directory the ids that the published one has."""
    for name in ("genes.tsv", "expression.tsv"):
        text = (raw / name).read_text()
        for i, row in reversed(list(enumerate(gene_rows()))):
            text = text.replace(row[0], renamed(i))
        (raw / name).write_text(text)


def combine(project, *names: str) -> str:
    folders = [f"data/raw/{name}" for name in names]
    return project.ok("combine", *folders, "--output", "data/raw/both")


def test_each_part_is_read_as_what_it_is(both):
    printed = combine(both, "demo", "mine")
    assert "published layout, 2 cell types: E003, E123" in printed
    both.ok("ingest")
    data = Dataset("data/dataset")
    assert data.cells == ["E003", "E123", *CELLS]
    assert data.info["source"] == "own"
    assert data.info["h3k4me3_halved"] is True
    assert data.info["parts"] == {
        "demo": {"layout": "published", "cells": ["E003", "E123"]},
        "mine": {"layout": "reads", "cells": list(CELLS)},
    }
    published, own = data.load("E003"), data.load("mine")
    expected = np.stack([gene.counts for gene in make_genes(40, 0)])
    expected[..., 3] //= 2
    np.testing.assert_array_equal(published.X, expected)
    order = np.argsort([renamed(i) for i in range(N_GENES)])
    np.testing.assert_array_equal(own.X, expected_counts("mine")[order])


def test_a_gene_is_in_one_split_by_whole_chromosomes(both):
    combine(both, "demo", "mine")
    both.ok("ingest")
    data = Dataset("data/dataset")
    assert data.info["split"] == "chromosome"
    assert len(data.genes) == 120 + N_GENES - SHARED
    assert (data.genes.groupby("chrom")["split"].nunique() == 1).all()
    split = {cell: pd.Series(data.load(cell).split, data.load(cell).gene_id) for cell in data.cells}
    common = split["E003"].index.intersection(split["mine"].index)
    assert len(common) == SHARED
    assert (split["E003"][common] == split["mine"][common]).all()
    # the place is that of the first part
    assert (data.genes.loc[common, "tss"] % 10_000 == 7).all()
    assert data.genes.loc[common, "truncated"].eq(False).all()


def test_labels_are_each_parts_own(both):
    both.ok("combine", both.raw, both.own, "--output", "data/raw/both")
    both.ok("ingest")
    together = Dataset("data/dataset").labels.set_index(["cell", "gene_id"])["label"]
    both.set("data.genes", "genes.tsv")
    for raw in ("demo", "mine"):
        both.set("data.raw", f"data/raw/{raw}")
        both.ok("ingest")
        alone = Dataset("data/dataset").labels.set_index(["cell", "gene_id"])["label"]
        pd.testing.assert_series_equal(together[alone.index], alone)


def test_published_parts_alone_keep_their_split(both):
    write_raw(both.path / "data/raw/second", ("E066", "E116"))
    both.set("data.raw", "data/raw/demo")
    both.set("data.genes", "genes.tsv")
    both.ok("ingest")
    alone = Dataset("data/dataset").genes["split"]
    combine(both, "demo", "second")
    both.set("data.raw", "data/raw/both")
    both.set("data.genes", "demo/genes.tsv")
    both.ok("ingest")
    data = Dataset("data/dataset")
    assert data.info["split"] == "published"
    assert data.info["source"] == "roadmap"
    assert (data.genes["split"] == alone).all()


def move(own, by: int, genes: int) -> None:
    """Move the first genes of the own directory along their chromosomes."""
    table = pd.read_csv(own / "genes.tsv", sep="\t")
    table.loc[: genes - 1, "tss"] += by
    table.to_csv(own / "genes.tsv", sep="\t", index=False)


def test_parts_of_different_assemblies(both):
    """The genes of one part would get the places of the other's."""
    move(both.own, 900_000, SHARED)
    combine(both, "demo", "mine")
    message = both.refused("ingest")
    assert "12 of the 12 genes that data/raw/both/demo and data/raw/both/mine share" in message
    assert "ENSG00000000001: chr1:50,007, chr1:950,000" in message
    move(both.own, -900_000, SHARED)
    (both.own / "chrom.sizes").write_text("chr1\t600000\n")
    combine(both, "demo", "mine")
    message = both.refused("ingest")
    assert "expected parts of one assembly" in message
    assert "demo is of hg19, hg38 and hs1 and data/raw/both/mine of chrom.sizes" in message


def test_some_genes_lie_elsewhere_in_another_annotation(both):
    move(both.own, 20_000, 2)
    combine(both, "demo", "mine")
    printed = both.ok("ingest")
    assert "warning: 2 of the 12 genes that" in printed
    assert Dataset("data/dataset").genes.loc["ENSG00000000001", "tss"] == 50_007


def test_chromosomes_are_named_as_in_the_first_part(both):
    genes = both.own / "genes.tsv"
    genes.write_text(re.sub(r"chr(\d)", r"\1", genes.read_text()))
    for path in both.own.glob("*.tagAlign.gz"):
        text = gzip.decompress(path.read_bytes()).decode()
        path.write_bytes(gzip.compress(text.replace("chr", "").encode()))
    combine(both, "demo", "mine")
    both.ok("ingest")
    assert Dataset("data/dataset").genes["chrom"].str.startswith("chr").all()


def test_it_runs_again_and_chosen_cells_alone(both):
    combine(both, "demo", "mine")
    first = both.snapshot()
    combine(both, "demo", "mine")
    assert both.snapshot() == first
    both.set("cells", ["E123", "mine"])
    both.ok("ingest")
    assert Dataset("data/dataset").cells == ["E123", "mine"]


def test_a_combined_directory_can_be_combined(both):
    combine(both, "demo", "mine")
    write_raw(both.path / "data/raw/demo2/demo", ("E066",))
    (both.path / "data/raw/third").mkdir()
    shutil.copytree(both.path / "data/raw/demo2/demo", both.path / "data/raw/third/demo")
    both.ok("combine", "data/raw/both", "data/raw/third/demo", "--output", "data/raw/all")
    manifest = json.loads((both.path / "data/raw/all/combined.json").read_text())
    assert list(manifest["parts"]) == ["demo", "mine", "demo-2"]
    both.set("data.raw", "data/raw/all")
    both.ok("ingest")
    assert Dataset("data/dataset").cells == ["E003", "E066", "E123", *CELLS]


def test_nothing_in_it_leads_out_of_it(both):
    target = both.own / "mine_H3K4me3.tagAlign.gz"
    inside = both.own / "real.tagAlign.gz"
    target.rename(inside)
    target.symlink_to(inside.name)
    combine(both, "demo", "mine")
    folder = both.path / "data/raw/both"
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    both.ok("ingest")


def test_what_is_refused(both):
    out = "data/raw/both"
    assert "cell type E003 is both in" in both.refused(
        "combine", "data/raw/demo", "data/raw/demo", "--output", out
    )
    assert "expected at least two" in both.refused("combine", "data/raw/demo", "--output", out)
    assert "no such directory" in both.refused(
        "combine", "data/raw/demo", "data/raw/none", "--output", out
    )
    assert "lie within each other" in both.refused(
        "combine", "data/raw/demo", "data/raw/mine", "--output", "data/raw/mine/both"
    )
    (both.path / "precious").mkdir()
    (both.path / "precious/notes").write_text("x")
    assert "would be replaced" in both.refused(
        "combine", "data/raw/demo", "data/raw/mine", "--output", "precious"
    )
    (both.own / "E003/classification").mkdir(parents=True)
    assert "both layouts are here" in both.refused(
        "combine", "data/raw/demo", "data/raw/mine", "--output", out
    )


def test_signal_and_counts_are_not_combined(both):
    both.raw, raw = both.own, both.raw
    write_signal(both, "bedGraph")
    both.raw = raw
    message = both.refused("combine", "data/raw/demo", "data/raw/mine", "--output", "data/raw/both")
    assert "holds one kind" in message


def test_cpm_and_counts_are_not_combined(both):
    combine(both, "demo", "mine")
    both.set("reads.depth", "cpm")
    message = both.refused("ingest")
    assert "both/demo gives counts" in message
    assert "reads.depth: raw" in message


def test_a_damaged_manifest(both):
    combine(both, "demo", "mine")
    (both.path / "data/raw/both/combined.json").write_text("{")
    assert "combine the directories again" in both.refused("ingest")
