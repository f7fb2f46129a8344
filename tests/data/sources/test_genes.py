import gzip
from pathlib import Path

import pytest

from deepchrome.data.reference import genes as reference_genes
from deepchrome.data.sources.genes import named_table, read_genes
from deepchrome.errors import DeepChromeError

GTF = """#!genome-build hg19
chr1\tHAVANA\tgene\t1001\t2000\t.\t+\t.\tgene_id "ENSG00000000001.4"; gene_name "AAA"; level 2;
chr1\tHAVANA\ttranscript\t1101\t1900\t.\t+\t.\tgene_id "ENSG00000000001.4"; gene_name "AAA";
chr2\tHAVANA\tgene\t3001\t4000\t.\t-\t.\tgene_id "ENSG00000000002.1"; gene_name "BBB";
"""


@pytest.mark.parametrize("packed", [False, True])
def test_gtf_gives_the_five_prime_end(tmp_path, packed):
    path = tmp_path / ("genes.gtf.gz" if packed else "genes.gtf")
    path.write_bytes(gzip.compress(GTF.encode()) if packed else GTF.encode())
    table = read_genes(str(path))
    assert table.loc["ENSG00000000001"].tolist() == ["AAA", "chr1", 1001, "+"]
    assert table.loc["ENSG00000000002"].tolist() == ["BBB", "chr2", 4000, "-"]


def test_the_packages_own_table():
    table = read_genes("gencode_v10")
    assert len(table) == 19_795
    assert table.index.is_unique
    first = reference_genes().iloc[0]
    assert table.loc[first["gene_id"], "tss"] == first["tss"]


BAD = {
    "no such file": (None, "no such file; expected 'gencode_v10' or a TSV or GTF"),
    "column missing": ("gene_id\tchrom\ttss\nA\tchr1\t5\n", "no column strand"),
    "strand": ("gene_id\tchrom\ttss\tstrand\nA\tchr1\t5\t.\n", "gene A: strand: found '.'"),
    "tss": ("gene_id\tchrom\ttss\tstrand\nA\tchr1\tfive\t+\n", "gene A: tss: found 'five'"),
    "two places": (
        "gene_id\tchrom\ttss\tstrand\nA.1\tchr1\t5\t+\nA.2\tchr1\t9\t+\n",
        "gene A stands there with different positions",
    ),
}


@pytest.mark.parametrize(("content", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_gene_tables(tmp_path, content, expected):
    path = tmp_path / "genes.tsv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DeepChromeError, match="(?s)" + expected.replace(".", r"\.")):
        read_genes(str(path))


def test_a_gtf_without_genes_or_cut_short(tmp_path):
    path = tmp_path / "genes.gtf.gz"
    path.write_bytes(gzip.compress(b'chr1\tx\texon\t1\t2\t.\t+\t.\tgene_id "A";\n'))
    with pytest.raises(DeepChromeError, match="third column is 'gene'"):
        read_genes(str(path))
    path.write_bytes(gzip.compress(GTF.encode())[:-20])
    with pytest.raises(DeepChromeError, match="not a readable gene table"):
        read_genes(str(path))


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """A project with a gene table in its raw directory, one in a part of it, and one outside."""
    monkeypatch.chdir(tmp_path)
    for path in ("data/raw/mine/genes.tsv", "data/raw/mine/part/genes.tsv", "outside.tsv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("gene_id\tchrom\ttss\tstrand\nA\tchr1\t5\t+\n")
    return Path("data/raw/mine")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gencode_v10", "gencode_v10"),
        ("genes.tsv", "data/raw/mine/genes.tsv"),
        ("part/genes.tsv", "data/raw/mine/part/genes.tsv"),
        ("data/raw/mine/genes.tsv", "data/raw/mine/genes.tsv"),
        ("data/raw/../raw/mine/genes.tsv", "data/raw/../raw/mine/genes.tsv"),
    ],
)
def test_a_named_table_lies_in_the_raw_directory(raw, name, expected):
    assert named_table(name, raw) == expected
    assert len(read_genes(named_table(name, raw)))


def test_a_named_table_may_be_given_by_its_whole_path(raw):
    path = str((raw / "genes.tsv").resolve())
    assert named_table(path, raw) == path


def test_of_two_tables_of_a_name_that_in_the_raw_directory_counts(raw):
    Path("genes.tsv").write_text("x")
    assert named_table("genes.tsv", raw) == "data/raw/mine/genes.tsv"


@pytest.mark.parametrize("name", ["outside.tsv", "../../../outside.tsv", "link.tsv"])
def test_a_named_table_elsewhere_is_refused_because_dvc_would_not_see_it(raw, name):
    (raw / "link.tsv").symlink_to(Path("outside.tsv").resolve())
    with pytest.raises(DeepChromeError, match=f"{name} lies outside {raw}; copy it into .*DVC"):
        named_table(name, raw)


def test_a_named_table_that_is_nowhere(raw):
    with pytest.raises(DeepChromeError, match=f"gene.tsv: no such file in {raw}; .*gencode_v10"):
        named_table("gene.tsv", raw)
