"""ingest on one's own reads and signal: what it writes, and every bad input it refuses."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from data.sources.test_reads import write_bam
from deepchrome import MARKS
from deepchrome.data.dataset import Dataset
from deepchrome.data.sources.chromosomes import seqinfo

CELLS = ("mine", "other")
CHROMOSOMES = ("chr1", "chr2", "chr3", "chr17")
HG19, HG38 = ({n: int(x) for n, x in seqinfo(b)["length"].items()} for b in ("hg19", "hg38"))
N_GENES = 24


def gene_rows() -> list[tuple[str, str, int, str]]:
    """Make genes 20 kb apart, on both strands: id, chromosome, TSS, strand."""
    return [
        (f"ENSG{i:011d}", CHROMOSOMES[i % 4], 50_000 + 20_000 * i, "+-"[i % 2])
        for i in range(N_GENES)
    ]


def reads_of(cell: str, mark: str) -> list[tuple[str, int, str]]:
    """Make reads within the windows: chromosome, start, strand."""
    rng = np.random.default_rng([CELLS.index(cell), MARKS.index(mark)])
    rows = []
    for _, chrom, tss, _ in gene_rows():
        for start in rng.integers(tss - 5000, tss + 4964, 40):
            rows.append((chrom, int(start), str(rng.choice(["+", "-"]))))
    return rows


def counted(reads: list[tuple[str, int, str]]) -> np.ndarray:
    X = np.zeros((N_GENES, 100), int)
    for i, (_, chrom, tss, _) in enumerate(gene_rows()):
        for there, start, _ in reads:
            offset = start - tss + 5000
            if there == chrom and -36 < offset < 10_000:
                for b in range(max(offset, 0) // 100, min((offset + 35) // 100, 99) + 1):
                    X[i, b] += 1
    return X


def expected_counts(cell: str) -> np.ndarray:
    return np.stack([counted(reads_of(cell, mark)) for mark in MARKS], axis=-1)


def tag_align(cell: str, mark: str) -> str:
    return "".join(f"{c}\t{s}\t{s + 36}\tN\t1000\t{t}\n" for c, s, t in reads_of(cell, mark))


def rpkm_of(cell: str) -> np.ndarray:
    return np.random.default_rng(CELLS.index(cell)).gamma(1, 10, N_GENES).round(3)


def write_genes(raw: Path) -> None:
    lines = ["gene_id\tchrom\ttss\tstrand", *("\t".join(map(str, row)) for row in gene_rows())]
    (raw / "genes.tsv").write_text("\n".join(lines) + "\n")


def write_expression(raw: Path, cells: tuple[str, ...] = CELLS) -> None:
    table = pd.DataFrame({cell: rpkm_of(cell) for cell in cells})
    table.index = pd.Index([f"{row[0]}.{i}" for i, row in enumerate(gene_rows())], name="gene_id")
    table.to_csv(raw / "expression.tsv", sep="\t")


def write_own(raw: Path, end: str = ".tagAlign.gz") -> None:
    """Write a raw directory of reads: two cell types, five marks."""
    raw.mkdir(parents=True, exist_ok=True)
    rows = ["cell\tmark\tpath"]
    for cell in CELLS:
        for mark in MARKS:
            path = raw / f"{cell}_{mark}{end}"
            if end == ".bam":
                reads = [(16 * (t == "-"), c, s, "36M", 60) for c, s, t in reads_of(cell, mark)]
                write_bam(path, reads, {name: HG19[name] for name in CHROMOSOMES})
            else:
                text = tag_align(cell, mark).encode()
                path.write_bytes(gzip.compress(text) if end.endswith(".gz") else text)
            rows.append(f"{cell}\t{mark}\t{path.name}")
    (raw / "samples.tsv").write_text("\n".join(rows) + "\n")
    write_genes(raw)
    write_expression(raw)


@pytest.fixture
def own(project):
    """A project with two cell types of one's own."""
    project.raw = project.path / "data/raw/mine"
    write_own(project.raw)
    project.set("data.raw", "data/raw/mine")
    return project


def test_writes_the_dataset(own):
    own.ok("ingest")
    data = Dataset("data/dataset")
    assert data.cells == list(CELLS)
    assert data.info["values"] == "counts"
    assert data.info["source"] == "own"
    assert data.info["split"] == "chromosome"
    assert data.info["h3k4me3_halved"] is False
    assert data.info["reads"]["count"] == "overlap"
    for cell in CELLS:
        loaded = data.load(cell)
        assert loaded.X.dtype == np.uint16
        np.testing.assert_array_equal(loaded.X, expected_counts(cell))
        rpkm = rpkm_of(cell)
        np.testing.assert_array_equal(loaded.y, rpkm > np.median(rpkm))
        assert data.info["rpkm_median"][cell] == np.median(rpkm)
    genes = data.genes
    assert (genes.groupby("chrom")["split"].nunique() == 1).all()
    assert not genes["truncated"].any()
    assert genes["tss"].tolist() == [row[2] for row in gene_rows()]


@pytest.mark.parametrize("end", [".bed", ".tagAlign", ".bam"])
def test_every_kind_of_reads_gives_the_same_dataset(own, end):
    own.ok("ingest")
    first = Dataset("data/dataset").hash
    write_own(own.raw, end)
    own.ok("ingest")
    assert Dataset("data/dataset").hash == first


def test_files_are_counted_in_parallel_processes(own, monkeypatch):
    from deepchrome.stages import ingest

    own.ok("ingest")
    first = Dataset("data/dataset").hash
    monkeypatch.setattr(ingest, "processes_for", lambda seconds, items: 2)
    own.ok("ingest")
    assert Dataset("data/dataset").hash == first
    edit(own, lambda text: text.replace("chr1\t", "chr1\t-", 1))
    assert "a negative start" in own.refused("ingest")


@pytest.mark.parametrize("kind", ["gtf", "bed", "start and end"])
def test_gene_tables_give_the_five_prime_end(own, kind):
    own.ok("ingest")
    first = Dataset("data/dataset").genes
    (own.raw / "genes.tsv").unlink()
    lines = []
    for gene, chrom, tss, strand in gene_rows():
        start, end = (tss, tss + 3000) if strand == "+" else (tss - 3000, tss)  # 1-based, inclusive
        if kind == "gtf":
            attributes = f'gene_id "{gene}.3"; gene_name "x";'
            lines.append(f"{chrom}\tt\tgene\t{start}\t{end}\t.\t{strand}\t.\t{attributes}")
        elif kind == "bed":
            lines.append(f"{chrom}\t{start - 1}\t{end}\t{gene}\t0\t{strand}")
        else:
            lines.append(f"{gene}\t{chrom}\t{start}\t{end}\t{strand}")
    text = "\n".join(lines) + "\n"
    if kind == "start and end":
        text = "gene_id\tchrom\tstart\tend\tstrand\n" + text
        (own.raw / "genes.tsv").write_text(text)
    else:
        (own.raw / f"genes.{kind}.gz").write_bytes(gzip.compress(text.encode()))
    own.ok("ingest")
    pd.testing.assert_frame_equal(
        Dataset("data/dataset").genes.drop(columns="symbol"), first.drop(columns="symbol")
    )


def test_roadmaps_names_need_no_samples(own):
    for path in own.raw.glob("*_*.tagAlign.gz"):
        cell, mark = path.name.removesuffix(".tagAlign.gz").split("_")
        path.rename(own.raw / f"{'E003' if cell == 'mine' else 'E123'}-{mark}.tagAlign.gz")
    (own.raw / "E003-DNase.tagAlign.gz").write_bytes(b"not looked at")
    (own.raw / "samples.tsv").unlink()
    table = pd.read_csv(own.raw / "expression.tsv", sep="\t")
    (own.raw / "expression.tsv").unlink()
    header = "gene_id\tE000\tE003\tE123\n"  # every row ends in a tab, as Roadmap's
    rows = "".join(f"{g}\t1.0\t{a:.3f}\t{b:.3f}\t\n" for g, a, b in table.itertuples(index=False))
    (own.raw / "57epigenomes.RPKM.pc.gz").write_bytes(gzip.compress((header + rows).encode()))
    own.ok("ingest")
    data = Dataset("data/dataset")
    assert data.cells == ["E003", "E123"]
    assert data.info["source"] == "own"
    np.testing.assert_array_equal(data.load("E003").X, expected_counts("mine"))


def test_replicates_are_pooled(own):
    rows = (own.raw / "samples.tsv").read_text().splitlines()
    rows = [f"{row}\t{'replicate' if i == 0 else 1}" for i, row in enumerate(rows)]
    rows.append("mine\tH3K4me3\tsecond.tagAlign.gz\t2")
    (own.raw / "samples.tsv").write_text("\n".join(rows) + "\n")
    second = reads_of("other", "H3K4me3")[::2]
    text = "".join(f"{c}\t{s}\t{s + 36}\tN\t1000\t{t}\n" for c, s, t in second)
    (own.raw / "second.tagAlign.gz").write_bytes(gzip.compress(text.encode()))
    own.ok("ingest")
    X = Dataset("data/dataset").load("mine").X
    both = expected_counts("mine")[..., 3] + counted(second)
    np.testing.assert_array_equal(X[..., 3], both)


def test_transcription_orientation(own):
    own.set("data.orient", "transcription")
    own.ok("ingest")
    X, expected = Dataset("data/dataset").load("mine").X, expected_counts("mine")
    expected[1::2] = expected[1::2, ::-1]
    np.testing.assert_array_equal(X, expected)


def test_the_median_is_over_the_genes_of_the_gene_table(own):
    path = own.raw / "expression.tsv"
    path.write_text(path.read_text() + "".join(f"X{i}\t999\t999\n" for i in range(100)))
    genes = own.raw / "genes.tsv"
    genes.write_text(genes.read_text() + "ENSG99999999999\tchr1\t900000\t+\n")
    printed = own.ok("ingest")
    assert "1 genes of" in printed
    assert "have no expression and are left out" in printed
    assert "100 genes of the expression table are not in" in printed
    data = Dataset("data/dataset")
    assert data.info["rpkm_median"]["mine"] == np.median(rpkm_of("mine"))
    assert len(data.genes) == N_GENES


def test_a_window_that_leaves_its_chromosome_keeps_its_gene(own):
    rows = gene_rows()
    text = (own.raw / "genes.tsv").read_text()
    text = text.replace(f"{rows[0][0]}\tchr1\t{rows[0][2]}", f"{rows[0][0]}\tchr1\t4001")
    text = text.replace(f"{rows[3][0]}\tchr17\t{rows[3][2]}", f"{rows[3][0]}\tchr17\t81195000")
    (own.raw / "genes.tsv").write_text(text)
    printed = own.ok("ingest")
    assert "2 genes have a window that leaves its chromosome" in printed
    data = Dataset("data/dataset")
    assert data.genes.index[data.genes["truncated"].fillna(False)].tolist() == [
        rows[0][0],
        rows[3][0],
    ]
    assert (data.load("mine").X[0, :9] == 0).all()


def test_cpm_is_signal_per_million_reads(own):
    own.set("reads.depth", "cpm")
    own.ok("ingest")
    data = Dataset("data/dataset")
    assert data.info["values"] == "signal"
    loaded = data.load("mine")
    assert loaded.X.dtype == np.float32
    np.testing.assert_allclose(loaded.X, expected_counts("mine") * 1e6 / (40 * N_GENES), rtol=1e-6)


def add_input(own) -> dict[str, list[tuple[str, int, str]]]:
    """Give each cell type a control: half of its own H3K9me3 reads and all of its H3K4me3."""
    rows, reads = [], {}
    for cell in CELLS:
        reads[cell] = [*reads_of(cell, "H3K9me3")[::2], *reads_of(cell, "H3K4me3")]
        text = "".join(f"{c}\t{s}\t{s + 36}\tN\t0\t{t}\n" for c, s, t in reads[cell])
        (own.raw / f"{cell}_input.bed").write_text(text)
        rows.append(f"{cell}\tinput\t{cell}_input.bed\n")
    edit(own, lambda text: text + "".join(rows), "samples.tsv")
    return reads


def test_an_input_control_is_subtracted_at_the_depth_of_each_mark(own):
    reads = add_input(own)
    own.ok("ingest")
    data = Dataset("data/dataset")
    assert data.info["values"] == "signal"
    assert data.info["reads"]["input"] == "subtract"
    for cell in CELLS:
        marks, control = expected_counts(cell), counted(reads[cell])
        n = 40 * N_GENES  # reads of each mark
        expected = np.maximum(marks - (control * (n / len(reads[cell])))[..., None], 0)
        np.testing.assert_allclose(data.load(cell).X, expected, rtol=1e-6)
    own.set("reads.depth", "cpm")
    own.ok("ingest")
    np.testing.assert_allclose(
        Dataset("data/dataset").load("other").X, expected * (1e6 / n), rtol=1e-6
    )


def test_an_input_control_is_ignored_on_demand(own):
    add_input(own)
    own.set("reads.input", "ignore")
    own.ok("ingest")
    np.testing.assert_array_equal(Dataset("data/dataset").load("mine").X, expected_counts("mine"))


def test_every_cell_type_has_a_control_or_none(own):
    add_input(own)
    edit(own, lambda text: text.replace("other\tinput\tother_input.bed\n", ""), "samples.tsv")
    assert "cell type other has no input, unlike mine" in own.refused("ingest")


def write_signal(own, end: str) -> None:
    """Put a signal in place of the reads: of each base the reads that start there."""
    rows = ["cell\tmark\tpath"]
    for cell in CELLS:
        for mark in MARKS:
            (own.raw / f"{cell}_{mark}.tagAlign.gz").unlink(missing_ok=True)
            table = pd.DataFrame(reads_of(cell, mark), columns=["chrom", "start", "strand"])
            track = table.groupby(["chrom", "start"]).size().reset_index(name="value")
            path = own.raw / f"{cell}_{mark}.{end}"
            track["end"] = track["start"] + 1
            track = track[["chrom", "start", "end", "value"]]
            if end == "bw":
                with pyBigWig.open(str(path), "w") as file:
                    file.addHeader([(name, HG19[name]) for name in CHROMOSOMES])
                    for chrom in CHROMOSOMES:
                        part = track[track["chrom"] == chrom]
                        file.addEntries(
                            part["chrom"].tolist(),
                            part["start"].tolist(),
                            ends=part["end"].tolist(),
                            values=part["value"].astype(float).tolist(),
                        )
            else:
                track.to_csv(path, sep="\t", header=False, index=False)
            rows.append(f"{cell}\t{mark}\t{path.name}")
    (own.raw / "samples.tsv").write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize("end", ["bw", "bedGraph"])
def test_signal_runs_through_the_pipeline(own, end):
    write_signal(own, end)
    own.ok("ingest")
    data = Dataset("data/dataset")
    assert data.info["values"] == "signal"
    X = data.load("mine").X
    assert X.dtype == np.float32
    tss = gene_rows()[0][2]
    starts = [s - tss + 5000 for c, s, _ in reads_of("mine", "H3K4me3") if c == "chr1"]
    first = np.bincount([s // 100 for s in starts if 0 <= s < 10_000], minlength=100) / 100
    np.testing.assert_allclose(X[0, :, 3], first, rtol=1e-6)
    if end == "bw":  # the network that sees bins, and one that sees a summary
        own.set("models.deepchrome.epochs", 1)
        own.ok("validate")
        own.ok("train")
        own.ok("evaluate")
        message = own.refused(
            "predict", "--input", "x.csv", "--model", "mine", "--output", "scores.csv"
        )
        assert "trained on signal" in message
        own.set("model", "linear")
        own.set("models.linear.epochs", 1)
        own.ok("train")


def test_signal_and_counts_are_not_mixed(own):
    write_signal_row = (
        (own.raw / "samples.tsv")
        .read_text()
        .replace("mine_H3K4me3.tagAlign.gz", "mine_H3K4me3.bedGraph")
    )
    (own.raw / "mine_H3K4me3.bedGraph").write_text("chr1\t0\t10\t1\n")
    (own.raw / "samples.tsv").write_text(write_signal_row)
    assert "are mixed" in own.refused("ingest")


def edit(own, change, file: str = "mine_H3K4me3.tagAlign.gz") -> None:
    path = own.raw / file
    packed = file.endswith(".gz")
    text = gzip.decompress(path.read_bytes()).decode() if packed else path.read_text()
    text = change(text)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())


def line(number: int, content: str):
    def change(text: str) -> str:
        lines = text.splitlines()
        lines[number - 1] = content
        return "\n".join(lines) + "\n"

    return change


BAD_READS = {
    "negative": (line(7, "chr1\t-5\t31\tN\t1000\t+"), ["line 7", "a negative start", "-5 to 31"]),
    "reversed": (line(7, "chr1\t90\t50\tN\t1000\t-"), ["line 7", "reversed or empty", "90 to 50"]),
    "empty interval": (line(7, "chr1\t90\t90\tN\t1000\t-"), ["line 7", "reversed or empty"]),
    "text": (line(7, "chr1\tninety\t95\tN\t1000\t-"), ["line 7", "start: found 'ninety'"]),
    "columns": (line(7, "chr1\t90\t95"), ["line 7", "found 3 columns, expected 6"]),
    "two columns": (lambda text: "chr1\t5\n", ["line 1", "found 2 columns, expected at least 3"]),
    "empty": (lambda text: "", ["the file is empty"]),
    "headers alone": (lambda text: "# nothing\n", ["the file is empty"]),
    "two names": (lambda text: text + "1\t5\t41\tN\t1000\t+\n", ["both chr1 and 1"]),
    "other names": (lambda text: text.replace("chr", "scaffold"), ["are they of the same genome?"]),
}


@pytest.mark.parametrize(("change", "expected"), BAD_READS.values(), ids=BAD_READS.keys())
def test_bad_reads(own, change, expected):
    own.ok("ingest")
    edit(own, change)
    message = own.refused("ingest")
    assert "mine_H3K4me3.tagAlign.gz" in message
    for part in expected:
        assert part in message


def test_reads_of_another_assembly(own):
    """An own gene table may be of hg19 or hg38, but all files must be of one of them."""
    own.ok("ingest")
    edit(own, line(7, "chr17\t83000000\t83000036\tN\t1000\t+"))  # hg19's ends at 81,195,210
    own.ok("ingest")
    edit(own, line(7, "chr1\t249000000\t249000036\tN\t1000\t+"), "other_H3K9me3.tagAlign.gz")
    message = own.refused("ingest")  # hg38's chr1 ends at 248,956,422
    assert "other_H3K9me3" in message
    assert "beyond the chromosome's end, 248,956,422" in message
    assert "all its positions fit hg19" in message
    edit(own, line(7, "chr1\t300000000\t300000036\tN\t1000\t+"), "other_H3K9me3.tagAlign.gz")
    assert "line 7: chr1: found position 300,000,036" in own.refused("ingest")


def test_hg38_reads_with_the_packages_genes(own):
    (own.raw / "genes.tsv").unlink()
    own.set("data.genes", "gencode_v10")
    table = pd.read_csv(own.raw / "expression.tsv", sep="\t")
    from deepchrome.data.reference import genes

    near = genes().drop_duplicates("gene_id").query("chrom in @CHROMOSOMES and tss < 10_000_000")
    table["gene_id"] = near["gene_id"].sample(N_GENES, random_state=0).to_list()
    table.to_csv(own.raw / "expression.tsv", sep="\t", index=False)
    own.ok("ingest")
    edit(own, line(7, "chr17\t83000000\t83000036\tN\t1000\t+"))
    message = own.refused("ingest")
    assert "line 7: chr17: found position 83,000,036 beyond" in message
    assert "Is it of the same assembly as the genes?" in message


def test_chrom_sizes_name_another_genome(own):
    (own.raw / "chrom.sizes").write_text("".join(f"{name}\t600000\n" for name in CHROMOSOMES))
    own.ok("ingest")
    edit(own, line(7, "chr2\t602000\t602036\tN\t1000\t+"))
    assert "beyond the chromosome's end, 600,000" in own.refused("ingest")
    (own.raw / "chrom.sizes").write_text("chr1 600000\n")
    assert "chrom.sizes: line 1" in own.refused("ingest")
    (own.raw / "chrom.sizes").write_text("".join(f"{name}\t60000\n" for name in CHROMOSOMES))
    assert "beyond the chromosome's end" in own.refused("ingest")  # a TSS


def test_truncated_gzip(own):
    own.ok("ingest")
    path = own.raw / "mine_H3K4me3.tagAlign.gz"
    path.write_bytes(path.read_bytes()[:-100])
    assert "mine_H3K4me3.tagAlign.gz: truncated or damaged gzip" in own.refused("ingest")
    path.write_bytes(b"")
    assert "the file is empty" in own.refused("ingest")


def test_chromosomes_are_matched_one_by_one(own):
    """One shared scaffold hid that reads name chromosomes otherwise than genes do."""
    own.ok("ingest")
    expected = {cell: Dataset("data/dataset").load(cell).X for cell in CELLS}
    genes = own.raw / "genes.tsv"
    genes.write_text(genes.read_text() + "ENSG00000999999\tGL000192.1\t100000\t+\n")
    table = own.raw / "expression.tsv"
    table.write_text(table.read_text() + "ENSG00000999999\t1\t1\n")
    for path in own.raw.glob("*.tagAlign.gz"):
        text = gzip.decompress(path.read_bytes()).decode().replace("chr", "")
        text += "GL000192.1\t100000\t100036\tN\t1000\t+\n"
        path.write_bytes(gzip.compress(text.encode()))
    own.ok("ingest")
    for cell in CELLS:
        X = Dataset("data/dataset").load(cell).X
        np.testing.assert_array_equal(X[:-1], expected[cell])
        assert X[-1].max() == 1


def test_genes_that_no_file_covers_are_left_out(own):
    own.ok("ingest")
    expected = Dataset("data/dataset").load("mine")
    genes = own.raw / "genes.tsv"
    more = "".join(f"ENSG0000099999{i}\tHSCHR6_MHC_COX\t{100_000 + i}\t+\n" for i in range(3))
    genes.write_text(genes.read_text() + more)
    table = own.raw / "expression.tsv"
    table.write_text(table.read_text() + "".join(f"ENSG0000099999{i}\t1\t1\n" for i in range(3)))
    printed = own.ok("ingest")
    assert "anything on HSCHR6_MHC_COX, where 3 of 27 genes lie (ENSG00000999990, " in printed
    found = Dataset("data/dataset").load("mine")
    np.testing.assert_array_equal(found.gene_id, expected.gene_id)
    np.testing.assert_array_equal(found.X, expected.X)


def test_a_mark_that_lacks_a_chromosome(own):
    edit(own, lambda text: "".join(re.findall("chr(?!17).*\n", text)))
    printed = own.ok("ingest")
    assert "warning: data/raw/mine: mine_H3K4me3.tagAlign.gz: nothing on chr17" in printed
    assert "reads as 0 in the 6 genes there" in printed


def test_links_into_dvcs_cache_are_in_the_folder(own):
    """As dvc add leaves files with cache.type symlink; any other link leads outside."""
    path = own.raw / "mine_H3K9me3.tagAlign.gz"
    cached = own.path / ".dvc/cache/files/md5/06/911e6c91b72713b93198dd5181a570"
    cached.parent.mkdir(parents=True)
    path.rename(cached)
    path.symlink_to(cached)
    own.ok("ingest")
    np.testing.assert_array_equal(Dataset("data/dataset").load("mine").X, expected_counts("mine"))
    path.unlink()
    path.symlink_to(cached.rename(own.path / "elsewhere.gz"))
    assert "line 6: path: 'mine_H3K9me3.tagAlign.gz' is outside" in own.refused("ingest")


def test_one_file_for_several_samples(own):
    samples = own.raw / "samples.tsv"
    text = samples.read_text()
    samples.write_text(text.replace("mine_H3K9me3.tag", "mine_H3K4me3.tag"))
    message = own.refused("ingest")
    assert "line 6: path: mine_H3K4me3.tagAlign.gz is named in line 5 too" in message
    samples.write_text(text)
    (own.raw / "mine_H3K9me3.tagAlign.gz").unlink()
    (own.raw / "mine_H3K9me3.tagAlign.gz").hardlink_to(own.raw / "mine_H3K4me3.tagAlign.gz")
    assert "line 6: path: mine_H3K9me3.tagAlign.gz is the file of line 5" in own.refused("ingest")
    (own.raw / "mine_H3K9me3.tagAlign.gz").unlink()
    text = gzip.decompress((own.raw / "mine_H3K4me3.tagAlign.gz").read_bytes())
    shuffled = sorted(text.splitlines(keepends=True))
    (own.raw / "mine_H3K9me3.tagAlign.gz").write_bytes(gzip.compress(b"".join(shuffled)))
    printed = own.ok("ingest")
    assert "H3K9me3) holds the same data in every bin as data/raw/mine/mine_H3K4me3" in printed


def test_bad_bams(own):
    write_own(own.raw, ".bam")
    own.ok("ingest")
    path = own.raw / "mine_H3K4me3.bam"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert "mine_H3K4me3.bam: truncated or damaged BAM file" in own.refused("ingest")
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated or damaged" in own.refused("ingest")
    path.write_bytes(b"")
    assert "the file is empty" in own.refused("ingest")
    write_bam(path, [], {})
    assert "a BAM file without header" in own.refused("ingest")
    hg38 = {name: HG38[name] for name in CHROMOSOMES}
    write_bam(path, [(0, "chr1", 50_000, "36M", 60)], hg38)
    message = own.refused("ingest")
    assert "another genome" in message
    assert "chr1 has 248,956,422 bp, as in hg38; expected 249,250,621 (hg19)" in message
    write_bam(path, [(0, "NC_000001.11", 50_000, "36M", 60)], {"NC_000001.11": HG38["chr1"]})
    message = own.refused("ingest")
    assert "names chromosomes of hg38" in message
    write_bam(path, [(4, "chr1", 50_000, "", 60)], {name: HG19[name] for name in CHROMOSOMES})
    assert "no aligned reads" in own.refused("ingest")


def test_bad_signal(own):
    write_signal(own, "bedGraph")
    own.ok("ingest")
    edit(own, line(3, "chr1\t45000\t45100\t-1.5"), "mine_H3K4me3.bedGraph")
    message = own.refused("ingest")
    assert "mine_H3K4me3.bedGraph: line 3: value: found '-1.5'" in message
    edit(own, line(3, "chr1\t45000\t45100"), "mine_H3K4me3.bedGraph")
    assert "line 3: found 3 columns" in own.refused("ingest")
    write_signal(own, "bw")
    own.ok("ingest")
    path = own.raw / "mine_H3K4me3.bw"
    path.write_bytes(path.read_bytes()[:30])
    assert "mine_H3K4me3.bw" in own.refused("ingest")
    path.write_bytes(b"")
    assert "the file is empty" in own.refused("ingest")


def samples(change):
    return lambda own: edit(own, change, "samples.tsv")


def expression(change):
    return lambda own: edit(own, change, "expression.tsv")


def another_file(own) -> None:
    (own.raw / "more.bed").write_text("chr1\t50000\t50036\tN\t0\t+\n")
    samples(lambda text: text + "mine\tH3K4me3\tmore.bed\n")(own)


BAD_DIRECTORIES = {
    "a mark missing": (
        samples(lambda text: "".join(f"{row}\n" for row in text.splitlines() if "H3K9" not in row)),
        ["samples.tsv: cell type mine has no file of H3K9me3"],
    ),
    "two rows without replicate": (
        another_file,
        ["two files for mine, H3K4me3", "a column 'replicate'"],
    ),
    "outside": (
        samples(lambda text: text.replace("mine_H3K4me3", "../mine_H3K4me3")),
        ["line 5: path: '../mine_H3K4me3.tagAlign.gz' is outside"],
    ),
    "absolute": (
        samples(lambda text: text.replace("mine_H3K4me3", "/etc/mine_H3K4me3")),
        ["line 5", "is outside"],
    ),
    "no such file": (
        samples(lambda text: text.replace("mine_H3K4me3", "mine_H3K4")),
        ["mine_H3K4.tagAlign.gz: no such file"],
    ),
    "unknown mark": (
        samples(lambda text: text.replace("mine\tH3K4me3", "mine\tH3K4Me3")),
        ["line 5: mark: found 'H3K4Me3'", "did you mean 'H3K4me3'"],
    ),
    "a name of a path": (
        samples(lambda text: text.replace("mine\t", "../mine\t")),
        ["line 2: cell type: found '../mine'"],
    ),
    "unknown kind of file": (
        samples(lambda text: text.replace("mine_H3K4me3.tagAlign.gz", "genes.tsv")),
        ["genes.tsv: unknown kind of file"],
    ),
    "no column": (samples(lambda text: text.replace("mark", "target", 1)), ["no column mark"]),
    "a file outside": (
        samples(lambda text: text.replace("mine_H3K4me3", "../mine/../mine_H3K4me3")),
        ["line 5: path: ", "is outside"],
    ),
    "an overlong path": (
        samples(lambda text: text.replace("mine_H3K4me3", "m" * 5000)),
        ["line 5: path: 'mmm", "no path"],
    ),
    "a null byte": (
        samples(lambda text: text.replace("mine_H3K4me3", "mine\0")),
        ["line 5: path: ", "no path"],
    ),
    "case alone": (
        samples(lambda text: text.replace("other\t", "Mine\t")),
        ["cell types mine and Mine differ in upper and lower case alone"],
    ),
    "a reserved name": (
        samples(lambda text: text.replace("other\t", "pooled\t")),
        ["line 7: cell type: found 'pooled', which means several cell types"],
    ),
    "a missing value": (
        samples(lambda text: text.replace("other\t", "NA\t")),
        ["line 7: cell type: found 'NA', which means a missing value"],
    ),
    "a column twice": (
        samples(lambda text: text.replace("path", "path\tpath", 1)),
        ["line 1: column path stands there more than once"],
    ),
    "a comment first": (
        samples(lambda text: "# mine\n\n" + text.replace("H3K4me3", "H3K4Me3", 1)),
        ["line 7: mark: found 'H3K4Me3'"],
    ),
    "no rows": (samples(lambda text: "cell\tmark\tpath\n"), ["no samples after the header"]),
    "empty samples": (samples(lambda text: ""), ["samples.tsv: the file is empty"]),
    "unknown cell in expression": (
        expression(lambda text: text.replace("other", "others", 1)),
        ["expression.tsv: no column for cell type other; did you mean 'others'?"],
    ),
    "cell without expression": (
        expression(
            lambda text: "".join(f"{row.rsplit(chr(9), 1)[0]}\n" for row in text.splitlines())
        ),
        ["expression.tsv: no column for cell type other"],
    ),
    "duplicated gene": (
        expression(lambda text: text + text.splitlines()[1] + "\n"),
        ["gene ENSG00000000000.0 stands there more than once"],
    ),
    "duplicated gene in two versions": (
        expression(lambda text: text + "ENSG00000000000.77\t1\t1\n"),
        ["gene ENSG00000000000 stands there more than once, in several versions"],
    ),
    "text in expression": (
        expression(lambda text: text + "ENSG00000000999\thigh\t1\n"),
        ["gene ENSG00000000999, cell type mine: found 'high'"],
    ),
    "too many columns": (
        expression(lambda text: text + "ENSG00000000999\t1\t1\t1\n"),
        ["gene ENSG00000000999: found 4 columns, expected 3 as in the header"],
    ),
    "no gene in common": (
        expression(lambda text: text.replace("ENSG", "ENSMUSG")),
        ["no gene in common: the expression table has ENSMUSG", "genes.tsv has ENSG"],
    ),
    "no expression": (
        lambda own: (own.raw / "expression.tsv").unlink(),
        ["no expression table here; expected one of expression.tsv"],
    ),
    "two gene tables": (
        lambda own: (own.raw / "genes.gtf").write_text("x"),
        ["2 gene tables, genes.gtf, genes.tsv"],
    ),
    "published labels": (
        lambda own: own.set("data.labels", "published"),
        ["data.labels: published", "set data.labels: rpkm"],
    ),
    "unknown cell": (lambda own: own.set("cells", ["mime"]), ["did you mean 'mine'"]),
    "extended 5' ends": (
        lambda own: (own.set("reads.count", "five_prime"), own.set("reads.extend", 200)),
        ["reads.extend: found 200, expected 0"],
    ),
}


@pytest.mark.parametrize(
    ("change", "expected"), BAD_DIRECTORIES.values(), ids=BAD_DIRECTORIES.keys()
)
def test_bad_directory(own, change, expected):
    change(own)
    message = own.refused("ingest")
    for part in expected:
        assert part in message
    assert not (own.path / "data/dataset").exists()


BAD_GENES = {
    "reversed": ("gene_id\tchrom\tstart\tend\tstrand\nA\tchr1\t9\t5\t+\n", "a reversed interval"),
    "no end": ("gene_id\tchrom\tstart\tstrand\nA\tchr1\t9\t+\n", "no column end"),
    "empty": ("", "genes.tsv: the file is empty; expected a gene table"),
    "negative": ("gene_id\tchrom\ttss\tstrand\nA\tchr1\t-9\t+\n", "found '-9'"),
}


@pytest.mark.parametrize(("content", "expected"), BAD_GENES.values(), ids=BAD_GENES.keys())
def test_bad_gene_table(own, content, expected):
    (own.raw / "genes.tsv").write_text(content)
    assert expected in own.refused("ingest")


def test_strands_are_needed_by_some_parameters(own):
    edit(own, lambda text: "".join("\t".join(r.split("\t")[:3]) + "\n" for r in text.splitlines()))
    own.ok("ingest")
    own.set("reads.drop_duplicates", True)
    assert "found 3 columns, expected column 6" in own.refused("ingest")


def test_a_count_beyond_what_a_dataset_holds(own):
    edit(own, lambda text: "chr1\t50000\t50036\tN\t1000\t+\n" * 65_536)
    message = own.refused("ingest")
    assert "gene ENSG00000000000, bin 51, H3K4me3: 65,536 reads" in message


def test_the_metrics_name_the_dataset(own):
    own.ok("ingest")
    metrics = json.loads((own.path / "metrics/ingest.json").read_text())
    assert metrics["dataset"] == Dataset("data/dataset").hash
    assert metrics["genes"] == N_GENES
    assert metrics["published_labels_wrong"] == 0
