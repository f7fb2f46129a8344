"""Names of chromosomes, their aliases, and which assembly genes and files are of."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepchrome.data.sources.assemblies import Assembly, agreeing, fitting, known
from deepchrome.data.sources.chromosomes import KNOWN, Naming, builds_with, seqinfo
from deepchrome.errors import DeepChromeError

UCSC = {  # chrom.sizes of UCSC's downloads
    "hg19": {"chr1": 249_250_621, "chr17": 81_195_210, "chrX": 155_270_560, "chrM": 16_571},
    "hg38": {"chr1": 248_956_422, "chr17": 83_257_441, "chrX": 156_040_895, "chrM": 16_569},
    "mm10": {"chr1": 195_471_971, "chr19": 61_431_566, "chrX": 171_031_299, "chrM": 16_299},
}


@pytest.mark.parametrize("build", UCSC)
def test_lengths_are_ucscs(build):
    lengths = seqinfo(build)["length"]
    assert {name: lengths[name] for name in UCSC[build]} == UCSC[build]


def test_the_first_chromosome_differs_between_assemblies_of_a_species():
    firsts = [seqinfo(build)["length"].iloc[0] for build in KNOWN]
    assert len(set(firsts)) == len(KNOWN)


@pytest.mark.parametrize(
    ("build", "table", "file"),
    [
        ("hg19", "chr1", "1"),
        ("hg19", "1", "chr1"),
        ("hg19", "chr1", "NC_000001.10"),
        ("hg19", "X", "CM000685.1"),
        ("hg38", "chrM", "MT"),
        ("hg19", "GL000192.1", "chr1_gl000192_random"),
        ("mm10", "chr1", "NC_000067.6"),
        ("dm6", "2L", "chr2L"),
        ("ce11", "I", "chrI"),
        (None, "Chr1", "1"),
        (None, "chrM", "MT"),
    ],
)
def test_one_chromosome_by_two_names(build, table, file):
    naming = Naming([table], [build] if build else [])
    assert naming.of([file, "elsewhere"]) == {file: table}
    assert naming.one_name(file) == table


def test_hg19_has_two_mitochondrial_sequences():
    """UCSC's chrM (NC_001807) is not Ensembl's MT (NC_012920): no position is the same."""
    assert Naming(["chrM"], ["hg19"]).of(["MT", "NC_012920.1"]) == {}
    assert Naming(["chrM"], ["hg19", "hg38"]).of(["NC_001807.4"]) == {"NC_001807.4": "chrM"}


def test_accessions_tell_the_assembly():
    assert builds_with(["NC_000001.11", "chr2"]) == {"hg38"}
    assert builds_with(["1", "chr2"]) is None
    assert builds_with(["NC_000001.10", "NC_000002.12"]) == set()


@given(st.permutations([str(i) for i in range(1, 23)] + ["X", "Y"]), st.booleans())
def test_prefixes_go_and_come_back(names, prefixed):
    table = [f"chr{name}" if prefixed else name for name in names]
    files = [name if prefixed else f"chr{name}" for name in names]
    assert Naming(table).of(files) == dict(zip(files, table, strict=True))


def test_two_names_of_one_chromosome_are_refused():
    naming = Naming(["chr1", "chr2"], ["hg19"])
    with pytest.raises(DeepChromeError, match=r"both 1 and NC_000001\.10, two names of one"):
        naming.check("a.bed", ["1", "NC_000001.10"], "genes")
    with pytest.raises(DeepChromeError, match="one chromosome in two ways, 1 and chr1"):
        Naming(["chr1", "1"]).check_table("genes.tsv")


def genes(chrom: str = "chr1", tss: int = 1_000_000, id_: str = "ENSG00000000001") -> pd.DataFrame:
    return pd.DataFrame({"chrom": [chrom], "tss": [tss]}, index=[id_])


def test_a_header_decides(tmp_path):
    hg38 = {"1": UCSC["hg38"]["chr1"], "MT": 16_569}
    naming, found = agreeing(tmp_path, genes(), "genes.tsv", {Path("a.bam"): hg38})
    assert [one.name for one in found] == ["hg38"]
    assert naming.of(["1"]) == {"1": "chr1"}
    with pytest.raises(DeepChromeError, match=r"1 has 248,956,422 bp, as in hg38; expected") as e:
        agreeing(tmp_path, genes("1"), "genes.tsv", {Path("a.bam"): hg38}, stated="hg19")
    assert "249,250,621 (hg19)" in str(e.value)


def test_the_mitochondrial_chromosome_decides_nothing(tmp_path):
    (tmp_path / "chrom.sizes").write_text("chr1\t249250621\nchrM\t16571\n")
    for length in (16_569, 16_571):
        header = {"chr1": 249_250_621, "chrM": length}
        _, found = agreeing(tmp_path, genes(), "genes.tsv", {Path("a.bam"): header})
        assert [one.name for one in found] == ["chrom.sizes"]


def test_a_small_overhang_decides_nothing():
    naming = Naming(["chr1", "chr17"])
    humans = [known(build, naming) for build in ("hg19", "hg38")]
    seen = {"chr17": 81_195_210 + 21, "chr1": 249_250_621}  # as MACS writes it, of hg19
    assert [one.name for one in fitting(humans, seen, naming, "a.bdg")] == ["hg19"]
    with pytest.raises(DeepChromeError, match=r"chr17.*81,195,210.*positions fit hg38"):
        fitting(humans[:1], {"chr17": 83_000_000}, naming, "a.bdg")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr1\t0\n", "line 1"),
        ("\n# of UCSC\nchr1 249\n", "line 3"),
        ("chr1\t٣\n", "line 1"),
        ("chr1\t5\nchr1\t6\n", "5 above"),
        ("chr1\t99999999999\n", "line 1"),
        ("", "empty"),
        ("chr1\t10\n", "beyond the chromosome's end, 10"),
        ("scaffold\t10000000\n", "no chromosome in common"),
    ],
)
def test_bad_chrom_sizes(tmp_path, text, expected):
    (tmp_path / "chrom.sizes").write_text(text)
    with pytest.raises(DeepChromeError, match=expected):
        agreeing(tmp_path, genes(), "genes.tsv", {})


def test_chrom_sizes_as_they_come(tmp_path):
    """A byte order mark, CRLF, an index of samtools: chr1 is there all the same."""
    (tmp_path / "chrom.sizes").write_bytes(b"\xef\xbb\xbfchr1\t2000000\t6\t60\t61\r\n\r\n")
    _, found = agreeing(tmp_path, genes(), "genes.tsv", {})
    assert found == [Assembly("chrom.sizes", {"chr1": 2_000_000})]
