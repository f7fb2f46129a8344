import gzip

import pytest

from deepchrome.data.reference import genes as reference_genes
from deepchrome.data.sources.genes import read_genes
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
