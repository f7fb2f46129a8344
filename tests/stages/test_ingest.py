"""ingest: what it writes, and every bad input it refuses."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import REAL, ROOT, make_genes, needs_real, write_cell, write_raw, write_rpkm
from deepchrome.data.dataset import Dataset, training_hash


def test_writes_the_dataset(small):
    small.ok("ingest")
    data = Dataset("data/dataset")
    assert data.info["source"] == "roadmap"
    assert data.cells == ["E003", "E123"]
    for seed, cell in enumerate(data.cells):
        genes = make_genes(40, seed)
        loaded = data.load(cell)
        expected = np.stack([gene.counts for gene in genes])
        expected[..., 3] //= 2
        np.testing.assert_array_equal(loaded.X, expected)
        assert loaded.gene_id.tolist() == [gene.gene_id for gene in genes]
        assert loaded.split.tolist() == [gene.split for gene in genes]
        rpkm = np.array([gene.rpkm for gene in genes])
        np.testing.assert_array_equal(loaded.y, rpkm > np.median(rpkm))
        by_mark = data.load(cell, mark_by_mark=True).X
        np.testing.assert_array_equal(by_mark, loaded.X)
        assert loaded.X[0].flags.c_contiguous
        assert by_mark[0, :, 0].flags.c_contiguous
        assert data.training_hashes[cell] == training_hash(loaded)
        assert data.training_genes[cell] == sum(gene.split == "train" for gene in genes)
    signals = pd.read_parquet(data.signals_path("E003"))
    assert list(signals.columns) == [
        "gene_id",
        "bin",
        "H3K27me3",
        "H3K36me3",
        "H3K4me1",
        "H3K4me3",
        "H3K9me3",
    ]
    assert signals["bin"].tolist() == list(range(1, 101)) * 120


def test_counts_wrong_published_labels(small):
    small.ok("ingest")
    genes = make_genes(40, 0)
    rpkm = np.array([gene.rpkm for gene in genes])
    text = np.array([f"{v:.3f}" > f"{np.median(rpkm):.3f}" for v in rpkm])
    wrong = int((text != (rpkm > np.median(rpkm))).sum())
    assert wrong > 10
    audit = pd.read_csv("plots/ingest/labels.csv").set_index("cell")
    assert audit.loc["E003", ["disagree", "explained", "verdict"]].tolist() == [
        wrong,
        wrong,
        "text",
    ]
    metrics = json.loads((small.path / "metrics/ingest.json").read_text())
    assert metrics["published_labels_wrong"] == metrics["explained_by_text"]
    assert metrics["published_labels_wrong"] == audit["disagree"].sum()


def test_the_median_is_over_all_genes_of_the_table(small):
    genes = make_genes(40, 0)
    for cell in ("E003", "E123"):
        write_cell(small.raw, cell, genes)
    extra = make_genes(80, 0)
    for gene in extra[120:]:
        gene.rpkm = 500.0  # raises the median, though these genes have no signals
    write_rpkm(small.raw, {"E003": extra, "E123": extra})
    small.ok("ingest")
    labels = Dataset("data/dataset").load("E003").y
    rpkm = np.array([gene.rpkm for gene in genes])
    np.testing.assert_array_equal(labels, rpkm > np.median([gene.rpkm for gene in extra]))
    assert labels.mean() < 0.1


def test_published_labels_need_no_table_and_warn_where_they_are_wrong(small):
    small.set("data.labels", "published")
    printed = small.ok("ingest")
    assert "warning" in printed
    assert "data.labels: rpkm" in printed
    (small.raw / "57epigenomes.RPKM.pc.gz").unlink()
    printed = small.ok("ingest")
    assert "warning" not in printed
    assert Dataset("data/dataset").labels["rpkm"].isna().all()


def test_chosen_cell_types_only(small):
    whole = small.ok("ingest")
    assert "2 cell types" in whole
    both = Dataset("data/dataset").hash
    small.set("cells", ["E123"])
    small.ok("ingest")
    data = Dataset("data/dataset")
    assert data.cells == ["E123"]
    assert sorted(path.name for path in (data.path / "signals").iterdir()) == ["E123.parquet"]
    assert data.hash != both


def test_transcription_orientation_flips_minus_genes_only(small):
    numbers = {"+": "000005", "-": "000003"}  # ENSG00000000005 and ...003 of the package's table
    genes = make_genes(40, 0)
    genes[0].number, genes[1].number = numbers["+"], numbers["-"]
    small.set("data.genes", "genes.tsv")
    rows = ["gene_id\tchrom\ttss\tstrand"]
    for gene in genes:
        strand = "-" if gene.number == numbers["-"] else "+"
        rows.append(f"{gene.gene_id}.7\tchr1\t5000\t{strand}")
    (small.raw / "genes.tsv").write_text("\n".join(rows) + "\n")
    used = {gene.number for gene in genes[:2]}
    genes = genes[:2] + [gene for gene in genes[2:] if gene.number not in used]
    for cell in ("E003", "E123"):
        write_cell(small.raw, cell, genes)
    write_rpkm(small.raw, {"E003": genes, "E123": genes})
    small.ok("ingest")
    genomic = Dataset("data/dataset").load("E003")
    small.set("data.orient", "transcription")
    small.ok("ingest")
    oriented = Dataset("data/dataset").load("E003")
    for i, gene in enumerate(genomic.gene_id):
        flipped = genomic.X[i, ::-1] if gene.endswith(numbers["-"]) else genomic.X[i]
        np.testing.assert_array_equal(oriented.X[i], flipped)


def test_splits(small):
    small.set("data.split", "random")
    small.ok("ingest")
    first = Dataset("data/dataset").genes["split"]
    assert set(first.value_counts().index) == {"train", "valid", "test"}
    small.ok("ingest")
    assert (Dataset("data/dataset").genes["split"] == first).all()
    small.set("data.split_seed", 1)
    small.ok("ingest")
    assert (Dataset("data/dataset").genes["split"] != first).any()


def test_chromosome_split_keeps_chromosomes_whole(small):
    rows = ["gene_id\tchrom\ttss\tstrand"] + [
        f"{gene.gene_id}\tchr{i % 7}\t{1000 * i + 1}\t+" for i, gene in enumerate(make_genes(40, 0))
    ]
    (small.raw / "genes.tsv").write_text("\n".join(rows) + "\n")
    small.set("data.genes", "genes.tsv")
    small.set("data.split", "chromosome")
    small.ok("ingest")
    genes = Dataset("data/dataset").genes
    assert (genes.groupby("chrom")["split"].nunique() == 1).all()
    assert genes["split"].value_counts().min() >= 0.2 * len(genes)


def write_genes(path, tss: int) -> None:
    rows = [f"{gene.gene_id}\tchr{i % 7}\t{tss + i}\t+" for i, gene in enumerate(make_genes(40, 0))]
    path.write_text("\n".join(["gene_id\tchrom\ttss\tstrand", *rows]) + "\n")


def test_a_gene_table_outside_the_raw_directory_is_refused(small):
    write_genes(small.path / "genes.tsv", 1000)
    small.set("data.genes", "genes.tsv")
    message = small.refused("ingest")
    assert "data.genes: genes.tsv lies outside data/raw/demo; copy it into that folder" in message
    assert "DVC looks for changes in data.raw alone" in message
    small.set("data.genes", "gene.tsv")
    assert "data.genes: gene.tsv: no such file in data/raw/demo" in small.refused("ingest")


def test_dvc_runs_ingest_again_when_the_gene_table_changes(small):
    """With the dependencies that dvc.yaml gives it, but for those on the project's own code."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["ingest"]
    stage["deps"] = [name for name in stage["deps"] if not name.startswith("src/")]
    stage["cmd"] = f"{sys.executable} -m deepchrome ingest"
    (small.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"ingest": stage}}))
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True)
    small.set("data.genes", "genes.tsv")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    for tss in (1000, 5000):
        write_genes(small.raw / "genes.tsv", tss)
        subprocess.run([*dvc, "repro", "-q", "ingest"], check=True, env=environment)
        assert Dataset("data/dataset").genes["tss"].min() == tss


def edit(small, change, file="E003/classification/train.csv"):
    """Change the lines of one raw file."""
    path = small.raw / file
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("".join(f"{line}\n" for line in lines))


def put(line: int, column: int, value: str):
    """Return a change that puts `value` in a column of a line, both from 1."""

    def change(lines):
        cells = lines[line - 1].split(",")
        cells[column - 1] = value
        lines[line - 1] = ",".join(cells)

    return change


BAD_VALUES = {
    "text": "two",
    "negative": "-1",
    "fractional": "1.5",
    "nan": "nan",
    "infinite": "inf",
    "huge": "70000",
    "beyond 64 bits": "9" * 30,
    "empty": "",
}


@pytest.mark.parametrize("value", BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_bad_count(small, value):
    small.ok("ingest")
    edit(small, put(142, 4, value))
    message = small.refused("ingest")
    assert "train.csv: line 142: gene ENSG00000000004, H3K36me3: found" in message
    assert repr(value[:40]) in message
    assert "expected a whole number of reads from 0 to 65,535" in message


def drop_column(lines):
    lines[4] = ",".join(lines[4].split(",")[:-1])


def add_column(lines):
    lines[4] += ",0"


def drop_columns(lines):
    lines[:] = [",".join(line.split(",")[:-1]) for line in lines]


def add_columns(lines):
    lines[:] = [line + ",0" for line in lines]


def drop_bin(lines):
    del lines[49]


def repeat_bin(lines):
    lines[11] = lines[10].rsplit(",", 6)[0] + ",9,9,9,9,9,0"


def mixed_label(lines):
    cells = lines[5].split(",")
    cells[-1] = str(1 - int(cells[-1]))
    lines[5] = ",".join(cells)


BAD_LINES = {
    "7 columns in a line": (drop_column, ["line 5: found 7 columns, expected 8"]),
    "9 columns in a line": (add_column, ["line 5: found 9 columns, expected 8"]),
    "7 columns": (drop_columns, ["line 1: found 7 columns, expected 8"]),
    "9 columns": (add_columns, ["line 1: found 9 columns, expected 8"]),
    "bin 0": (put(3, 2, "0"), ["line 3", "bin: found '0', expected a bin from 1 to 100"]),
    "bin 101": (put(3, 2, "101"), ["line 3", "bin: found '101'", "from 1 to 100"]),
    "missing bin": (drop_bin, ["ENSG00000000001 has 99 of 100 bins; missing: 50"]),
    "repeated bin": (repeat_bin, ["ENSG00000000001 has bin 11 twice with different counts"]),
    "mixed labels": (mixed_label, ["ENSG00000000001 has rows labelled 0 and rows labelled 1"]),
    "label 2": (put(7, 8, "2"), ["line 7", "label: found '2', expected 0 or 1"]),
    "bad gene": (put(1, 1, "3"), ["line 1", "gene: found '3'", "last six digits"]),
    "header": (lambda lines: lines.insert(0, "gene,bin,a,b,c,d,e,label"), ["line 1: gene: found"]),
}


@pytest.mark.parametrize(("change", "expected"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_line(small, change, expected):
    small.ok("ingest")
    edit(small, change)
    message = small.refused("ingest")
    assert "E003/classification/train.csv" in message
    for part in expected:
        assert part in message


def test_missing_split_file(small):
    small.ok("ingest")
    (small.raw / "E123/classification/valid.csv").unlink()
    message = small.refused("ingest")
    assert "E123/classification: valid.csv missing" in message


def test_empty_file(small):
    small.ok("ingest")
    (small.raw / "E123/classification/valid.csv").write_text("")
    assert "empty files of cell type E123 (valid.csv)" in small.refused("ingest")


def test_a_binary_file(small):
    (small.raw / "E123/classification/valid.csv").write_bytes(b"\x89PNG\xff\xfe\x00" * 99)
    assert "valid.csv" in small.refused("ingest")


def test_gene_in_two_splits(small):
    small.ok("ingest")
    path = small.raw / "E003/classification"
    first = (path / "train.csv").read_text().splitlines()[:100]
    (path / "test.csv").write_text((path / "test.csv").read_text() + "\n".join(first) + "\n")
    message = small.refused("ingest")
    assert "gene ENSG00000000001 is in both" in message
    assert "train.csv" in message
    assert "test.csv" in message


def test_gene_in_another_split_in_another_cell_type(small):
    small.ok("ingest")
    genes = make_genes(40, 1)
    genes[0].split = "test"
    write_cell(small.raw, "E123", genes)
    message = small.refused("ingest")
    assert "ENSG00000000001 is in" in message
    assert "E003" in message
    assert "E123" in message


def rewrite_rpkm(small, change):
    path = small.raw / "57epigenomes.RPKM.pc.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    change(lines)
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))


def replace_in(line: int, old: str, new: str):
    def change(lines):
        assert old in lines[line]
        lines[line] = lines[line].replace(old, new)

    return change


BAD_TABLES = {
    "gene missing": (
        lambda lines: lines.pop(5),
        ["gene ENSG00000000005", "missing from the table"],
    ),
    "cell type missing": (replace_in(0, "E123", "E124"), ["no column for cell type E123", "E124"]),
    "text": (replace_in(3, "1.000", "high"), ["line 4: gene ENSG00000000003", "'high'"]),
    "negative": (replace_in(3, "1.000", "-1.0"), ["line 4", "'-1.0'", "at least 0"]),
    "nan": (replace_in(3, "1.000", "nan"), ["line 4", "'nan'"]),
    "gene twice": (lambda lines: lines.append(lines[1]), ["ENSG00000000001", "more than once"]),
    "no header": (lambda lines: lines.pop(0), ["line 1", "expected 'gene_id'"]),
}


@pytest.mark.parametrize(("change", "expected"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_bad_expression_table(small, change, expected):
    small.ok("ingest")
    rewrite_rpkm(small, change)
    message = small.refused("ingest")
    assert "57epigenomes.RPKM.pc.gz" in message
    for part in expected:
        assert part in message


def test_expression_table_truncated_mid_gzip(small):
    small.ok("ingest")
    path = small.raw / "57epigenomes.RPKM.pc.gz"
    path.write_bytes(path.read_bytes()[:-200])
    message = small.refused("ingest")
    assert "57epigenomes.RPKM.pc.gz: truncated or damaged gzip file" in message


def test_no_expression_table(small):
    (small.raw / "57epigenomes.RPKM.pc.gz").unlink()
    assert "data.labels: published" in small.refused("ingest")


BAD_PARAMS = {
    "unknown cell type": ("cells", ["E003", "E12"], ["'E12' is not in", "did you mean 'E123'?"]),
    "unknown key": ("data.lables", "rpkm", ["data.lables: unknown key", "'labels'"]),
    "unknown section": ("trian", {}, ["trian: unknown key", "'train'"]),
    "unknown value": ("data.labels", "rpk", ["data.labels: found 'rpk'", "'rpkm'"]),
    "unknown model": ("model", "linaer", ["model: found 'linaer'", "'linear'"]),
    "unknown option": (
        "models.deepchrome.options",
        {"poling": "max"},
        ["options.poling", "'pooling'"],
    ),
    "bad option": ("models.deepchrome.options", {"pooling": "sum"}, ["'sum'", "'average'"]),
    "unknown architecture": (
        "models.linear.architecture",
        "liner",
        ["models.linear.architecture", "'linear'"],
    ),
    "no seeds": ("seeds", [], ["seeds"]),
    "text for a number": ("models.linear.epochs", "many", ["models.linear.epochs", "'many'"]),
    "negative rate": ("models.linear.learning_rate", -1, ["learning_rate: found -1"]),
    "raw directory": ("data.raw", "data/raw/nowhere", ["data/raw/nowhere: no such directory"]),
    "unknown device": ("device", "gpu", ["device: found 'gpu'"]),
}


@pytest.mark.parametrize(("key", "value", "expected"), BAD_PARAMS.values(), ids=BAD_PARAMS.keys())
def test_bad_params(small, key, value, expected):
    small.ok("ingest")
    small.set(key, value)
    message = small.refused("ingest")
    for part in expected:
        assert part in message


def test_debug_shows_the_traceback(small):
    small.set("data.raw", "data/raw/nowhere")
    status, printed = small("--debug", "ingest")
    assert status == 1
    assert "Traceback" in printed


@needs_real
def test_real_sample_labels_are_explained(project):
    import shutil

    shutil.copytree(REAL / "roadmap-subset", project.raw)
    shutil.copy(REAL / "57epigenomes.RPKM.pc.gz", project.raw)
    project.ok("ingest")
    audit = pd.read_csv("plots/ingest/labels.csv").set_index("cell")
    assert audit.loc["E003", "disagree"] == audit.loc["E003", "explained"] > 100
    assert audit.loc["E003", "verdict"] == "text"
    assert audit.loc["E123", "disagree"] == 0
    assert audit.loc["E123", "verdict"] == "numeric"


def test_repeated_genes_are_noticed(project):
    genes = make_genes(40, 0)
    write_raw(project.raw)
    write_cell(project.raw, "E003", [*genes, genes[4]])
    printed = project.ok("ingest")
    assert "1 genes stand twice" in printed
    assert genes[4].gene_id in printed
