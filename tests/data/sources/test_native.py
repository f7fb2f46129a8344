"""A damaged file that crashes its reader is a message, and ends no process of ours."""

import signal
from pathlib import Path

import pyBigWig
import pytest

from counted import write_bam
from deepchrome.data.sources import native
from deepchrome.errors import DeepChromeError
from deepchrome.training.executor import in_processes

SIZES = {"chr1": 60_000, "chr2": 30_000}


def write_bigwig(path: Path) -> None:
    with pyBigWig.open(str(path), "w") as file:
        file.addHeader(list(SIZES.items()))
        file.addEntries(
            ["chr1"] * 50,
            list(range(0, 500, 10)),
            ends=list(range(10, 510, 10)),
            values=[float(i) for i in range(50)],
        )


def test_headers_of_all_kinds(tmp_path):
    bam, wig = tmp_path / "a.bam", tmp_path / "é b.bw"
    write_bam(bam, [(0, "chr1", 100, "36M", 60)])
    write_bigwig(wig)
    assert native.chromosome_sizes([bam, wig]) == [SIZES, SIZES]
    assert native.chromosome_sizes([]) == []
    (tmp_path / "no.bam").write_bytes(bam.read_bytes()[:100])
    with pytest.raises(DeepChromeError, match=r"no\.bam: truncated or damaged"):
        native.chromosome_sizes([wig, tmp_path / "no.bam"])


CRASHING = (
    "import os, signal, deepchrome.data.sources.signal as s\n"
    "s.sizes_of = lambda path: os.kill(os.getpid(), signal.SIGSEGV)\n"
)


def test_a_crash_on_a_header_names_the_file(tmp_path, monkeypatch):
    """The reader crashes on demand: which damage does it differs from version to version."""
    (tmp_path / "sitecustomize.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(tmp_path)
    bam, wig = tmp_path / "a.bam", tmp_path / "b.bw"
    write_bam(bam, [(0, "chr1", 100, "36M", 60)])
    write_bigwig(wig)
    with pytest.raises(DeepChromeError, match=r"b\.bw: damaged; .* crashed on it \(signal 11\)"):
        native.chromosome_sizes([bam, wig])


def crashed(n: int, number: int) -> str:
    return f"item {n}, signal {number}"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_crash_in_a_process_names_the_item(workers):
    raised = signal.raise_signal  # processes import what they call: no module of tests
    assert in_processes(raised, [signal.SIGCONT] * 2, workers, crashed=crashed) == [None, None]
    with pytest.raises(DeepChromeError, match="item 11, signal 11"):
        in_processes(raised, [signal.SIGCONT, signal.SIGSEGV], workers, crashed=crashed)
