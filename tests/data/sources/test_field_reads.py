"""What people reported of files of reads and signal, rebuilt small: right counts, or a reason."""

import gzip

import numpy as np
import pytest

from counted import GENES, SIZES, bed, naive, params, random_reads
from deepchrome.data.sources.counting import FileMeter
from deepchrome.data.sources.reads import count
from deepchrome.data.sources.samples import KINDS, Sample
from deepchrome.data.sources.windows import Windows
from deepchrome.errors import DeepChromeError
from deepchrome.params import ReadsParams
from deepchrome.stages.ingest import count_rule, measure_files

READS = random_reads(np.random.default_rng(4), 200)


@pytest.mark.parametrize("name", ["x.tagAlign.gz", "x.tagAlign.bgz", "x.bed"])
@pytest.mark.parametrize("packed", [True, False])
def test_names_do_not_tell_whether_a_file_is_packed(tmp_path, name, packed):
    """As of brave/brave-browser#28646 and ABC-Enhancer-Gene-Prediction#137."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(bed(READS).encode()) if packed else bed(READS).encode())
    assert Sample("a", "H3K4me3", path, "").kind == "counts"
    found = count(path, Windows(GENES), params(), {}, "genes")
    np.testing.assert_array_equal(found.values, naive(READS, GENES))


def test_kinds_of_names():
    assert {".cram", ".bedpe", ".bam", ".bed", ".tagalign"} == set(KINDS["counts"])
    assert {".bw", ".bigwig", ".bg", ".bdg", ".bedgraph"} == set(KINDS["signal"])


def reads_params(**changed: object) -> ReadsParams:
    known = {
        "count": "overlap",
        "extend": 0,
        "min_mapq": 0,
        "drop_duplicates": False,
        "fragments": False,
        "blacklist": None,
        "reference": None,
        "depth": "raw",
        "input": "ignore",
    }
    return ReadsParams.model_validate(known | changed)


def test_files_that_params_name_lie_in_the_raw_directory(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "black.bed").write_text("chr1\t1\t5\n")
    (tmp_path / "outside.bed").write_text("chr1\t1\t5\n")
    inside = str(raw / "black.bed")
    for name in ("black.bed", inside):
        assert count_rule(reads_params(blacklist=name), raw).blacklist == inside
    with pytest.raises(DeepChromeError, match=r"reads\.reference: .*outside\.bed: lies outside"):
        count_rule(reads_params(reference=str(tmp_path / "outside.bed")), raw)
    with pytest.raises(DeepChromeError, match=r"reads\.blacklist: no\.bed: no such file in"):
        count_rule(reads_params(blacklist="no.bed"), raw)


def test_a_blacklist_cannot_be_applied_to_signal(tmp_path):
    rule = params(blacklist="black.bed")
    meter = FileMeter(Windows(GENES), rule, SIZES, "genes")
    with pytest.raises(DeepChromeError, match="is signal, from which reads cannot be left out"):
        measure_files(meter, [Sample("a", "H3K4me3", tmp_path / "x.bw", "")])
