import gzip
from pathlib import Path
from urllib.parse import quote

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepchrome.data.reference import genes as reference_genes
from deepchrome.data.sources.genes import find_table, named_table, read_genes, without_version
from deepchrome.errors import DeepChromeError

GTF = """#!genome-build GRCh37.p13
chr1\tHAVANA\tgene\t1001\t2000\t.\t+\t.\tgene_id "ENSG00000000001.4"; gene_name "AAA"; level 2;
chr1\tHAVANA\ttranscript\t1101\t1900\t.\t+\t.\tgene_id "ENSG00000000001.4"; gene_name "AAA";
chr2\tHAVANA\tgene\t3001\t4000\t.\t-\t.\tgene_id "ENSG00000000002.1"; gene_name "BBB";
"""
GFF3 = """##gff-version 3
#!genome-build GRCh38.p14
1\tensembl\tgene\t1001\t2000\t.\t+\t.\tID=gene:ENSG00000000001;Name=AAA;gene_id=ENSG00000000001
1\tensembl\tmRNA\t1101\t1900\t.\t+\t.\tID=transcript:ENST1;Parent=gene:ENSG00000000001
1\tensembl\tncRNA_gene\t3001\t4000\t.\t-\t.\tID=gene:ENSG00000000002;Name=B%2CB;biotype=miRNA
##FASTA
>1
ACGT
"""


def read(path: Path) -> pd.DataFrame:
    return read_genes(str(path)).genes


@pytest.mark.parametrize("name", ["genes.gtf", "genes.gtf.gz", "genes.gff", "genes.bed", "v38.txt"])
@pytest.mark.parametrize("packed", [False, True])
def test_gtf_under_any_name_gives_the_five_prime_end(tmp_path, name, packed):
    path = tmp_path / name
    path.write_bytes(gzip.compress(GTF.encode()) if packed else GTF.encode())
    table = read_genes(str(path))
    assert table.genes.loc["ENSG00000000001"].tolist() == ["AAA", "chr1", 1001, "+"]
    assert table.genes.loc["ENSG00000000002"].tolist() == ["BBB", "chr2", 4000, "-"]
    assert table.assembly == "hg19"


@pytest.mark.parametrize("name", ["genes.gff3", "genes.gtf"])
def test_gff3_under_any_name(tmp_path, name):
    (tmp_path / name).write_text(GFF3)
    table = read_genes(str(tmp_path / name))
    assert table.genes.loc["ENSG00000000001"].tolist() == ["AAA", "1", 1001, "+"]
    assert table.genes.loc["ENSG00000000002"].tolist() == ["B,B", "1", 4000, "-"]
    assert table.assembly == "hg38"


def test_ncbis_gff3(tmp_path):
    line = "NC_000001.11\tBestRefSeq\t{}\t11874\t14409\t.\t+\t.\tID={};Dbxref=GeneID:1;{}\n"
    (tmp_path / "a.gff").write_text(
        line.format("pseudogene", "gene-DDX11L1", "Name=DDX11L1;gene=DDX11L1")
        + line.format("transcript", "rna-NR_046018.2", "Parent=gene-DDX11L1")
    )
    assert read(tmp_path / "a.gff").loc["DDX11L1"].tolist() == [
        "DDX11L1",
        "NC_000001.11",
        11874,
        "+",
    ]


@pytest.mark.parametrize(
    ("header", "assembly"),
    [
        ("##description: annotation of the human genome (GRCh38), version 26 (Ensembl 88)", "hg38"),
        ("##description: version 35 (Ensembl 101), mapped to GRCh37 with gencode-backmap", "hg19"),
        ("#!genome-build GRCm39", "mm39"),
        ("##genome-build hg19", "hg19"),
        ("#!genome-build GRCz11", "danRer11"),
        ("##genome-build Ensembl mRatBN7.2", "rn7"),
        ("#!genome-version T2T-CHM13v2.0", "hs1"),
        ("##provider: GENCODE of GRCh38", None),
        ("# mine", None),
    ],
)
def test_the_header_names_the_assembly(tmp_path, header, assembly):
    (tmp_path / "genes.gtf").write_text(f"{header}\n{GTF.partition(chr(10))[2]}")
    assert read_genes(str(tmp_path / "genes.gtf")).assembly == assembly


@pytest.mark.parametrize("feature", ["transcript", "exon"])
def test_without_lines_of_genes_the_most_upstream_end_counts(tmp_path, feature):
    """As in GENCODE's lines of genes, which reach over all transcripts."""
    gene = 'gene_id "{}"; transcript_id "{}"; gene_name "{}";'
    rows = [
        ("chr1", 1101, 1900, "+", gene.format("ENSG00000000001.4", "T1", "AAA")),
        ("chr1", 1001, 1200, "+", gene.format("ENSG00000000001.4", "T2", "AAA")),
        ("chr2", 3001, 3900, "-", gene.format("ENSG00000000002.1", "T3", "BBB")),
        ("chr2", 3500, 4000, "-", gene.format("ENSG00000000002.1", "T4", "BBB")),
        ("chrX", 5000, 6000, "+", gene.format("ENSG00000000003.1", "T5", "CCC")),
        ("chrY", 5000, 6000, "+", gene.format("ENSG00000000003.1", "T5", "CCC")),
    ]
    text = "".join(f"{c}\tx\t{feature}\t{s}\t{e}\t.\t{t}\t.\t{a}\n" for c, s, e, t, a in rows)
    (tmp_path / "of_transcripts.gtf").write_text(text)
    (tmp_path / "of_genes.gtf").write_text(GTF)
    table = read_genes(str(tmp_path / "of_transcripts.gtf"))
    pd.testing.assert_frame_equal(table.genes, read(tmp_path / "of_genes.gtf"))
    assert f"no lines of genes; each gene reaches over its {feature}s" in table.notes[0]
    assert "1 genes have" in table.notes[1]
    assert "ENSG00000000003.1" in table.notes[1]


def test_the_packages_own_table():
    table = read_genes("gencode_v10")
    assert len(table.genes) == 19_795
    assert table.genes.index.is_unique
    assert table.assembly == "hg19"
    first = reference_genes().iloc[0]
    assert table.genes.loc[first["gene_id"], "tss"] == first["tss"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ENSG00000085840.12", "ENSG00000085840"),
        ("ENSG00000085840.12_4", "ENSG00000085840"),
        ("ENSMUSG00000051951.6", "ENSMUSG00000051951"),
        ("ENSGR0000182378.9", "ENSGR0000182378"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378.15_4_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378.15_PAR_Y_4", "ENSG00000182378_PAR_Y"),
        ("W02C12.3", "W02C12.3"),
        ("RP11-34P13.7", "RP11-34P13.7"),
        ("AC012345.1", "AC012345.1"),
        ("NM_000546.6", "NM_000546.6"),
        ("ENSG00000085840.x", "ENSG00000085840.x"),
    ],
)
def test_versions_are_of_ensembls_ids_alone(written, expected):
    assert without_version(pd.Series([written])).tolist() == [expected]


def test_genes_without_strand_are_left_out(tmp_path):
    more = 'chr1\tStringTie\tgene\t5\t9\t1000\t.\t.\tgene_id "MSTRG.860";\n'
    (tmp_path / "genes.gtf").write_text(GTF + more)
    table = read_genes(str(tmp_path / "genes.gtf"))
    assert len(table.genes) == 2
    assert "1 genes have no strand, and so no TSS, and are left out: MSTRG.860" in table.notes[0]


def test_symbols_that_are_no_names_are_left_out(tmp_path):
    (tmp_path / "genes.gtf").write_text(
        GTF.replace("AAA", "../../<b>[/x]$^{").replace("BBB", "ARG5,6")
    )
    table = read_genes(str(tmp_path / "genes.gtf"))
    assert table.genes["symbol"].isna().tolist() == [True, False]
    assert table.genes["symbol"].iloc[1] == "ARG5,6"
    assert "1 symbols are no names" in table.notes[0]


def test_biomarts_strands_quotes_comments_and_a_byte_order_mark(tmp_path):
    text = (
        '\n# of BioMart\n"gene_id"\t"chrom"\tstart\tend\tstrand\n\n'
        '"A#1"\t"1"\t5\t9\t-1\nB.2\t2\t5\t9\t1\n'
    )
    (tmp_path / "genes.tsv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with pytest.raises(DeepChromeError, match="line 5: gene_id: found 'A#1'"):
        read(tmp_path / "genes.tsv")
    (tmp_path / "genes.tsv").write_bytes(b"\xef\xbb\xbf" + text.replace("A#1", "A.1").encode())
    assert read(tmp_path / "genes.tsv")["tss"].to_dict() == {"A.1": 9, "B.2": 5}


HEADER = "gene_id\tchrom\ttss\tstrand\n"
BAD = {
    "no such file": (None, "no such file; expected 'gencode_v10' or a TSV, GTF"),
    "column missing": ("gene_id\tchrom\ttss\nA\tchr1\t5\n", "line 1: no column strand"),
    "no strands": (f"{HEADER}A\tchr1\t5\t.\n", "none has a strand"),
    "strand": (f"{HEADER}A\tchr1\t5\tx\n", "line 2: gene A: strand: found 'x'"),
    "tss": (f"{HEADER}\n#\nA\tchr1\tfive\t+\n", "line 4: gene A: tss: found 'five'"),
    "scientific": (f"{HEADER}A\tchr1\t1e6\t+\n", "tss: found '1e6'"),
    "fraction": (f"{HEADER}A\tchr1\t12.0\t+\n", "tss: found '12.0'"),
    "negative": (f"{HEADER}A\tchr1\t-5\t+\n", "tss: found '-5'"),
    "zero": (f"{HEADER}A\tchr1\t0\t+\n", "expected a position from 1 to"),
    "beyond": (f"{HEADER}A\tchr1\t2147483648\t+\n", "tss: found '2147483648'"),
    "other digits": (f"{HEADER}A\tchr1\t٣\t+\n", "tss: found '٣'"),
    "null bytes": (f"{HEADER}A\tchr1\t5\0\0\t+\n", "line 2: found a null byte"),
    "null bytes, BED": ("chr1\t99\t500\0\0\tA\t0\t+\n", "line 1: found a null byte"),
    "no chromosome": (f"{HEADER}A\t\t5\t+\n", "gene A: chrom: found ''"),
    "no id": (f"{HEADER}\tchr1\t5\t+\n", "line 2: gene_id: found ''"),
    "a path": (f"{HEADER}../a\tchr1\t5\t+\n", "line 2: gene_id: found '../a'"),
    "markup": (f"{HEADER}<script>\tchr1\t5\t+\n", "gene_id: found '<script>'"),
    "columns": (f"{HEADER}A\tchr1\t5\n", "line 2: found 3 columns, expected 4"),
    "reversed": (
        "gene_id\tchrom\tstart\tend\tstrand\nA\tchr1\t9\t5\t+\n",
        "line 2: gene A: a reversed interval, 9 to 5",
    ),
    "two places": (
        f"{HEADER}A\tchr1\t5\t+\nB\tchr1\t5\t+\nA\tchr1\t9\t+\n",
        "gene A stands there more than once: line 2, A at chr1:5+, and line 4, A at chr1:9+",
    ),
    "two versions": (
        f"{HEADER}ENSG00000000001.1\tchr1\t5\t+\nENSG00000000001.2\tchr1\t5\t+\n",
        "line 2, ENSG00000000001.1 at chr1:5+, and line 3, ENSG00000000001.2 at",
    ),
    "no genes": ("# nothing\n", "no genes here"),
    "no attributes": ("chr1\tx\tgene\t1\t2\t.\t+\t.\n", "expected the 9 of GTF"),
    "a line with a hole": (
        'chr1\tx\tgene\t1\t2\t.\t+\t.\tgene_id "A";\nch\0\0\0_id "B";\n',
        "line 2: found a null byte; expected a gene table",
    ),
    "no gene id": ("chr1\tx\tgene\t1\t2\t.\t+\t.\tlevel 2;\n", "line 1: a gene without id"),
    "start of a BED": ("chr1\t-1\t2\tA\t0\t+\n", "no column gene_id"),
}


@pytest.mark.parametrize(("content", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_gene_tables(tmp_path, content, expected):
    path = tmp_path / "genes.tsv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DeepChromeError) as raised:
        read_genes(str(path))
    assert expected in str(raised.value)


def test_a_gtf_without_genes_or_cut_short(tmp_path):
    path = tmp_path / "genes.gtf.gz"
    path.write_bytes(gzip.compress(b'chr1\tx\tCDS\t1\t2\t.\t+\t.\tgene_id "A";\n'))
    with pytest.raises(DeepChromeError, match="third column is 'gene'"):
        read_genes(str(path))
    path.write_bytes(gzip.compress(GTF.encode())[:-20])
    with pytest.raises(DeepChromeError, match="truncated or damaged gzip"):
        read_genes(str(path))


PART = 'chr1\tx\t{}\t{}\t{}\t.\t+\t.\tgene_id "{}"; transcript_id "T";\n'


@pytest.mark.parametrize("position", ["\u00b2", "1e3", "-5", "1" * 40, ""])
def test_without_lines_of_genes_a_bad_position_is_refused_not_passed_over(tmp_path, position):
    """The line may be the one that decides a TSS."""
    text = PART.format("exon", 500, 900, "A") + PART.format("exon", position, 600, "A")
    (tmp_path / "genes.gtf").write_text(text, encoding="utf-8")
    with pytest.raises(DeepChromeError, match=r"genes\.gtf: line 2: found .* expected a position"):
        read(tmp_path / "genes.gtf")


def test_without_lines_of_genes_transcripts_and_exons_count_alike(tmp_path):
    """One gene may have lines of transcripts, the next of exons alone."""
    text = (
        PART.format("transcript", 100, 900, "A")
        + PART.format("exon", 100, 300, "A")
        + PART.format("exon", 5000, 5100, "B")
        + PART.format("exon", 5200, 5300, "B")
        + PART.format("exon", 1, 2, "")
    )
    (tmp_path / "genes.gtf").write_text(text)
    table = read_genes(str(tmp_path / "genes.gtf"))
    assert table.genes["tss"].to_dict() == {"A": 100, "B": 5000}
    assert "1 transcripts or exons have no gene_id" in table.notes[1]


def test_genes_without_the_line_that_others_have_are_named(tmp_path):
    more = PART.format("transcript", 5, 9, "EGFP") + PART.format("exon", 5, 9, "EGFP")
    (tmp_path / "genes.gtf").write_text(GTF + more + PART.format("exon", 5, 9, "Cre"))
    table = read_genes(str(tmp_path / "genes.gtf"))
    assert len(table.genes) == 2
    assert len(table.notes) == 1
    assert "2 genes have transcripts or exons and no line of their own" in table.notes[0]
    assert "EGFP (line 5) and 1 more" in table.notes[0]


def test_wormbases_gff3(tmp_path):
    (tmp_path / "c.gff3").write_text(
        "##gff-version 3\nI\tWormBase\tgene\t5\t9\t.\t-\t.\tID=Gene:WBGene00022277;Name=W02C12.3\n"
    )
    assert read(tmp_path / "c.gff3").loc["WBGene00022277", "tss"] == 9


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,11}", fullmatch=True)
TABLES = st.dictionaries(
    NAMES,
    st.tuples(
        st.sampled_from(["chr1", "2", "GL000192.1"]),
        st.integers(1, 10**9),
        st.integers(0, 10**6),
        st.sampled_from("+-"),
    ),
    min_size=1,
    max_size=8,
)


def written(table: dict[str, tuple[str, int, int, str]], form: str) -> str:
    lines = {"gff3": ["##gff-version 3"], "tsv": ["gene_id\tchrom\tstart\tend\tstrand"]}.get(
        form, []
    )
    for gene, (chrom, start, length, strand) in table.items():
        end = start + length
        attributes = f'gene_id "{gene}";' if form == "gtf" else f"ID=gene:{quote(gene)}"
        lines.append(
            {
                "tsv": f"{gene}\t{chrom}\t{start}\t{end}\t{strand}",
                "bed": f"{chrom}\t{start - 1}\t{end}\t{gene}\t0\t{strand}",
            }.get(form, f"{chrom}\t.\tgene\t{start}\t{end}\t.\t{strand}\t.\t{attributes}")
        )
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("form", ["tsv", "gtf", "gff3", "bed"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=TABLES, ends=st.sampled_from(["\n", "\r\n"]), mark=st.sampled_from(["", "\ufeff"]))
def test_every_format_reads_back(tmp_path, form, table, ends, mark):
    (tmp_path / "genes").write_bytes((mark + written(table, form)).replace("\n", ends).encode())
    found = read(tmp_path / "genes")
    assert found.index.tolist() == list(table)
    for gene, (chrom, start, length, strand) in table.items():
        tss = start if strand == "+" else start + length
        assert found.loc[gene, ["chrom", "tss", "strand"]].tolist() == [chrom, tss, strand]


@pytest.mark.parametrize("form", ["tsv", "gtf", "gff3", "bed"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=TABLES, data=st.data())
def test_damaged_bytes_are_read_or_refused(tmp_path, form, table, data):
    content = bytearray(written(table, form).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not content:
            break
    (tmp_path / "genes").write_bytes(content)
    try:
        found = read(tmp_path / "genes")
    except DeepChromeError:
        pass
    else:
        assert found["strand"].isin(["+", "-"]).all()
        assert found["tss"].between(1, 2**31 - 1).all()
        assert found.index.is_unique


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
    assert len(read_genes(named_table(name, raw)).genes)


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


@pytest.mark.parametrize(
    "name",
    [
        "genes.gff3",
        "genes.bed.gz",
        "gencode.v38.annotation.gtf",
        "Homo.gff3.gz",
        "genes.GTF",
        "genes.csv",
        "gene.txt",
        "genes.hg38.tsv",
        "mm10.gtf.zip",
        "mm10.gff2",
    ],
)
def test_a_table_in_the_folder_is_never_ignored(tmp_path, name):
    (tmp_path / name).write_text(GTF)
    assert find_table(tmp_path, "gencode_v10", tmp_path) == str(tmp_path / name)


def test_two_tables_in_the_folder(tmp_path):
    (tmp_path / "genes.tsv").write_text(GTF)
    (tmp_path / "gencode.gtf").write_text(GTF)
    (tmp_path / "._gencode.gtf").write_text("of a Mac")
    with pytest.raises(DeepChromeError, match=r"2 gene tables, gencode\.gtf, genes\.tsv; keep one"):
        find_table(tmp_path, "gencode_v10", tmp_path)
    assert find_table(tmp_path, "genes.tsv", tmp_path) == str(tmp_path / "genes.tsv")


@pytest.mark.parametrize("beside", ["genes.gtf.dvc", "a.gtf.gz.tbi", "genes.tsv~", "genes.tsv.bak"])
def test_what_stands_beside_a_table_is_none(tmp_path, beside):
    (tmp_path / "genes.tsv").write_text(GTF)
    (tmp_path / beside).write_text("x")
    assert find_table(tmp_path, "gencode_v10", tmp_path) == str(tmp_path / "genes.tsv")


def test_the_named_table_in_the_folder_counts_whatever_its_name(tmp_path):
    for name in ("genes.gtf", "curated.txt"):
        (tmp_path / name).write_text(GTF)
    (tmp_path / "part").mkdir()
    absolute = str((tmp_path / "curated.txt").resolve())
    assert find_table(tmp_path, "curated.txt", tmp_path) == str(tmp_path / "curated.txt")
    assert find_table(tmp_path, absolute, tmp_path) == absolute
    # of a combined directory: for the parts that have no table
    (tmp_path / "part" / "genes.tsv").write_text(GTF)
    own = str(tmp_path / "part" / "genes.tsv")
    assert find_table(tmp_path / "part", "curated.txt", tmp_path) == own
    (tmp_path / "part" / "genes.tsv").unlink()
    assert find_table(tmp_path / "part", "curated.txt", tmp_path) == str(tmp_path / "curated.txt")


def test_a_misspelt_table_is_refused_though_the_folder_has_one(tmp_path):
    (tmp_path / "genes.gtf").write_text(GTF)
    with pytest.raises(DeepChromeError, match=r"data\.genes: curatd\.txt: no such file"):
        find_table(tmp_path, "curatd.txt", tmp_path)
