"""Inputs as people reported them in public: each read to the right numbers, or refused by name.

What is right is computed here from the same files by bedtools, pyBigWig and pandas, after what ails
a file has been put right by a few plain rules.
"""

import gzip
import io
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from conftest import ROOT
from deepchrome import MARKS
from deepchrome.data.dataset import Dataset

FIELD = ROOT.parent / "shared" / "field"

pytestmark = [
    pytest.mark.skipif(not FIELD.is_dir(), reason=f"the inputs are not at hand ({FIELD})"),
    pytest.mark.skipif(not shutil.which("bedtools"), reason="bedtools is not installed"),
]

ENSEMBL = r"^(ENS[A-Z]*G\d{11})\.\d+(_\d+)?$"

READ = {
    "c00-control": [],
    "c01c-tagalign-bare": [],
    "c01d-gene-on-unknown-chromosome": ["HSCHR6_MHC_COX, chrMT", "2 of 14 genes", "left out"],
    "c01e-bigwig-lacks-chromosome": ["liver_H3K4me3.bw", "chr17, chr20", "4 genes"],
    "c03-lift37": [],
    "c04-chrM-16569": [],
    "c04d-two-flavours-symbols": [],
    "c05e-macs-whole-chromosomes": ["liver_H3K4me3.bdg", "chr17", "21 bp"],
    "c05f-macs-default-genes": ["liver_H3K4me3.bdg", "chr17", "21 bp"],
    "c05g-read-beyond-end-default-genes": ["liver_H3K4me3.tagAlign.gz", "chr20", "8 bp"],
    "c06e-nan-values": [],
    "c06f-comments-between-sections": [],
    "c06g-comments-in-bed": [],
    "c08d-plain-but-named-gz": [],
    "c08e-genes-plain-named-gz": [],
    "c09-dotted-ids": [],
    "c09b-dotted-ids-joined": ["2 genes of", "2 genes of the expression table"],
    "c09c-clone-names": [],
    "c10-stringtie-strand": ["MSTRG.860"],
    "c10b-no-gene-lines": ["genes.gtf"],
    "c11-nfcore-rnaseq": ["gene_name"],
    "c11d-r-quotes": [],
    "c11h-raw-counts": ["whole numbers", "liver"],
    "c11i-more-columns": ["kidney"],
    "c12-bom-expression": [],
    "c15-genes-gff3-ignored": [],
    "c15b-gencode-gtf-own-name": [],
    "c15c-gff3-as-gtf": [],
    "c15d-genes-gff": [],
    "c20-bgz-name": [],
    "c20c-bg-name": [],
    "c22-median-zero": ["median", "liver"],
    "c23-hash-and-lines": [],
}
"""Inputs that are read, and what must be said of them."""

REFUSED = {
    "c06-overlapping-bedgraph": ["liver_H3K27me3.bedGraph", "line 2", "overlap"],
    "c06c-duplicated-lines": ["liver_H3K27me3.bedGraph", "line 121"],
    "c07-narrowpeak-as-bed": ["liver_H3K27me3.bed.gz", "narrowPeak"],
    "c07d-bedgraph-as-bed": ["liver_H3K27me3.bed.gz", "bedGraph"],
    "c07e-chromhmm-segments": ["liver_H3K27me3.bed.gz", "segment"],
    "c11o-leading-blank-line": ["expression.tsv: line 8", "ENSG00000999999", "'NA'"],
    "c12l-bom-chrom-sizes-loses-chr1": ["H3K4me3.tagAlign.gz: line 301", "249,250,621"],
    "c18b-gtf-header-grch38-hg19-bam": ["genes.gtf", "hg38", "hg19"],
    "p01-empty-cell-types": ["E005", "E006", "cells:"],
}
"""Inputs that are refused, and what must be said of each."""

PUBLISHED = ["p10-genes-do-not-match", "p11-decompressed-rpkm-named-gz"]


def test_every_input_is_tried():
    assert {*READ, *REFUSED, *PUBLISHED} == {path.name for path in FIELD.iterdir() if path.is_dir()}


@pytest.fixture
def of_case(project):
    """Return a function that makes a project of a case's own copy of its files."""

    def make(case: str):
        project.raw = project.path / "data/raw/mine"
        shutil.copytree(FIELD / case / "raw", project.raw)
        for path in [project.raw, *project.raw.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        project.set("data.raw", "data/raw/mine")
        project.set("cells", "all")
        return project

    return make


def clean(path: Path) -> str:
    """Return a text without packing, byte order mark, quotes, comments and blank lines."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(lines).replace('"', "") + "\n"


def table(path: Path, **options) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(clean(path)), sep="\t", **options)


@dataclass
class Right:
    """What a folder holds: chrom, tss and strand by gene, expression by gene, X by gene."""

    places: pd.DataFrame
    expression: pd.Series
    X: np.ndarray


def places_of(raw: Path) -> pd.DataFrame:
    """Return chrom, tss and strand by gene, of whatever gene table lies there, or the package's."""
    tables = [p for p in raw.iterdir() if re.search(r"genes\.tsv|\.gtf$|\.gff3?$", p.name)]
    if not tables:
        packaged = ROOT / "src/deepchrome/data/reference/genes.tsv.gz"
        found = pd.read_csv(packaged, sep="\t").drop_duplicates("gene_id")
    elif ".tsv" in tables[0].name:
        found = table(tables[0])
    else:
        names = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "rest"]
        lines = table(tables[0], header=None, names=names)
        lines = lines[lines["feature"].isin(["gene", "exon"])]
        lines["gene_id"] = lines["rest"].str.extract(r"gene_id[ =]([^;]+)", expand=False)
        by_gene = lines.groupby("gene_id")
        found = by_gene[["chrom", "strand"]].first().reset_index()
        ends = found["strand"].eq("-").to_numpy()
        found["tss"] = np.where(ends, by_gene["end"].max(), by_gene["start"].min())
        found = found[found["strand"] != "."]
    found["gene_id"] = found["gene_id"].str.replace(ENSEMBL, r"\1", regex=True)
    return found.set_index("gene_id")[["chrom", "tss", "strand"]]


def bins_of(raw: Path, path: Path, places: pd.DataFrame, tmp: Path) -> np.ndarray:
    """Return one file's bins, shape=(genes, 100): reads that overlap each, or its mean signal."""
    start = places["tss"].to_numpy()[:, None] - 5000 + 100 * np.arange(100)
    if path.suffix == ".bw":
        with pyBigWig.open(str(path)) as file:
            of = file.chroms()
            rows = [
                np.nan_to_num(file.values(c, int(s[0]), int(s[0]) + 10_000)) if c in of else None
                for c, s in zip(places["chrom"], start, strict=True)
            ]
        means = [np.zeros(100) if row is None else row.reshape(100, 100).mean(1) for row in rows]
        return np.array(means)
    file = path
    if path.suffix != ".bam":
        (tmp / "there.bed").write_text(clean(path))
        file = tmp / "there.bed"
    named = subprocess.run(
        ["bedtools", "bamtobed", "-i", file] if path.suffix == ".bam" else ["cat", file],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    prefix = "chr" if re.search(r"^chr\w+\t", named, flags=re.MULTILINE) else ""
    chrom = places["chrom"].str.removeprefix("chr")
    chrom = np.where(chrom.str.startswith("GL"), chrom, prefix + chrom)
    (tmp / "bins.bed").write_text(
        "".join(f"{c}\t{s}\t{s + 100}\n" for c, row in zip(chrom, start, strict=True) for s in row)
    )
    signal = path.suffix in (".bdg", ".bedGraph", ".bg")
    asked = "-wao" if signal else "-c"
    done = subprocess.run(
        ["bedtools", "intersect", asked, "-a", tmp / "bins.bed", "-b", file],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = pd.read_csv(io.StringIO(done), sep="\t", header=None)
    if signal:
        value = pd.to_numeric(rows[6], errors="coerce").fillna(0)  # nan, and . where there is none
        rows[3] = value * rows[7] / 100
        rows = rows.groupby([0, 1, 2], sort=False)[3].sum().reset_index()
    return rows[3].to_numpy().reshape(-1, 100)


def right(raw: Path, tmp: Path) -> Right:
    """Read a folder of one's own data."""
    samples = table(raw / "samples.tsv").set_index("mark")["path"]
    (path,) = raw.glob("expression.tsv*")
    expression = table(path, index_col=0)["liver"]
    expression.index = expression.index.str.replace(ENSEMBL, r"\1", regex=True)
    places = places_of(raw)
    known = places["chrom"].isin([f"chr{c}" for c in [*range(1, 23), "X"]])
    known |= places["chrom"] == "GL000192.1"
    both = places.index[known].intersection(expression.index).sort_values()
    places = places.loc[both]
    X = np.stack([bins_of(raw, raw / samples[mark], places, tmp) for mark in MARKS], axis=-1)
    return Right(places, expression[both], X)


@pytest.mark.parametrize("case", READ)
def test_reads_the_right_numbers(case, of_case, tmp_path_factory):
    project = of_case(case)
    printed = project.ok("ingest")
    found = Dataset("data/dataset")
    expected = right(project.raw, tmp_path_factory.mktemp("right"))
    loaded = found.load("liver")
    assert loaded.gene_id.tolist() == expected.places.index.tolist()
    assert len(loaded.gene_id) == {"c01c": 13, "c09b": 10}.get(case[:4], 12)
    for column in ("chrom", "tss", "strand"):
        assert found.genes[column].tolist() == expected.places[column].tolist(), column
    np.testing.assert_allclose(loaded.X, expected.X, rtol=1e-6)
    elsewhere = case.startswith(("c15-", "c15b", "c15d"))  # their genes lie 1 Mb from the reads
    assert loaded.X.any(axis=(1, 2)).all() != elsewhere
    median = expected.expression.median()
    assert found.info["rpkm_median"]["liver"] == pytest.approx(median)
    assert loaded.y.tolist() == (expected.expression > median).astype(int).tolist()
    for part in READ[case]:
        assert part in printed
    lines = [line.removeprefix("warning: ") for line in printed.splitlines() if ": " in line]
    assert len(set(lines)) == len(lines), "something is said twice"


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case, of_case):
    project = of_case(case)
    message = project.refused("ingest")
    for part in REFUSED[case]:
        assert part in message
    assert not (project.path / "data/dataset").exists()


@pytest.mark.parametrize("case", PUBLISHED)
def test_reads_published_tables(case, of_case):
    project = of_case(case)
    project.ok("ingest")
    loaded = Dataset("data/dataset").load("E003")
    files = (project.raw / "E003/classification").glob("*.csv")
    rows = pd.concat([pd.read_csv(path, header=None, dtype={0: str}) for path in files])
    rows[5] //= 2  # H3K4me3 is doubled there
    rows = rows.sort_values([0, 1])
    assert loaded.gene_id.tolist() == [f"ENSG00000{gene}" for gene in rows[0].unique()]
    np.testing.assert_array_equal(loaded.X.reshape(-1, 5), rows[[2, 3, 4, 5, 6]])
    rpkm = table(project.raw / "57epigenomes.RPKM.pc.gz", index_col=False)
    rpkm = rpkm.set_index("gene_id")["E003"]
    assert loaded.y.tolist() == (rpkm[loaded.gene_id] > rpkm.median()).astype(int).tolist()


def test_a_gene_table_that_matches_nothing_is_refused(of_case):
    project = of_case("p10-genes-do-not-match")
    table = "gene_id\tchrom\ttss\tstrand\nENSMUSG00000000001\tchr3\t108146146\t-\n"
    (project.raw / "mouse.tsv").write_text(table)
    project.set("data.genes", "mouse.tsv")
    message = project.refused("ingest")
    for part in ("mouse.tsv", "ENSMUSG00000000001", "ENSG00000000003"):
        assert part in message


def test_validate_names_a_mark_that_lacks_chromosomes(of_case):
    project = of_case("c01e-bigwig-lacks-chromosome")
    project.ok("ingest")
    printed = project.ok("validate")
    assert "chr17 (H3K4me3 in 2 genes), chr20 (H3K4me3 in 2 genes)" in printed


@pytest.mark.parametrize("case", ["c05e-macs-whole-chromosomes", "c20c-bg-name", "c22-median-zero"])
def test_validate_raises_no_false_alarm(case, of_case):
    """Windows of a few values agree by chance; that stops nothing."""
    project = of_case(case)
    project.ok("ingest")
    project.ok("validate")
