import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT

STAGES = ["simulate", "ingest", "validate", "train", "evaluate", "cross_cell", "report"]
TOOLS = ["predict", "compare", "audit-labels", "fetch", "calibrate", "summary"]


def test_help_names_every_command(project):
    printed = project.ok("--help")
    for command in [*STAGES, *TOOLS]:
        assert re.search(rf"\b{command}\b", printed)


@pytest.mark.parametrize("command", [*STAGES, *TOOLS])
def test_help_of_every_command(project, command):
    assert "Usage" in project.ok(command, "--help")


def test_help_of_fetch_roadmap(project):
    assert "--expression-checksum" in project.ok("fetch", "roadmap", "--help")


def test_usage_errors_end_with_2(project):
    assert project("nonsense")[0] == 2
    assert project("predict")[0] == 2
    assert project("train", "--nonsense")[0] == 2


def test_version(project):
    assert re.search(r"\d+\.\d+\.\d+", project.ok("--version"))


def test_no_params_file(project):
    (project.path / "params.yaml").unlink()
    assert "params.yaml: no such file" in project.refused("train")


@pytest.mark.parametrize(
    ("content", "expected"),
    [("model: [", "not valid YAML"), ("- a list", "expected sections"), ("", "expected sections")],
)
def test_damaged_params(project, content, expected):
    (project.path / "params.yaml").write_text(content)
    assert expected in project.refused("train")


def test_nothing_to_read_yet(project):
    for stage in ("train", "evaluate", "cross_cell", "validate", "report"):
        assert "dvc repro" in project.refused(stage)
    assert "dvc repro" in project.refused("summary")


def test_calibrate_without_expression(small):
    (small.raw / "57epigenomes.RPKM.pc.gz").unlink()
    printed = small.refused("calibrate", "--raw", "data/raw/demo", "--output", "simulator.json")
    assert "57epigenomes.RPKM.pc.gz: no such file" in printed


def test_fetch_says_what_was_done(project, monkeypatch):
    from deepchrome.data.sources import roadmap

    asked = {}

    def fetch(output, observer, **options):
        asked.update(options, output=str(output))
        return ["56 cell types", "checksum recorded"]

    monkeypatch.setattr(roadmap, "fetch", fetch)
    printed = project.ok("fetch", "roadmap", "--url", "http://x/a.tar.gz", "--force")
    assert printed == "56 cell types\nchecksum recorded\n"
    assert asked == {
        "output": "data/raw/roadmap",
        "url": "http://x/a.tar.gz",
        "expression_url": None,
        "checksum": None,
        "expression_checksum": None,
        "force": True,
    }


def started(folder, *arguments: str | bytes, **variables: str) -> subprocess.Popen:
    """Start the command line as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables
    return subprocess.Popen(
        [sys.executable, "-m", "deepchrome", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_arguments_that_are_no_text(tmp_path):
    process = started(tmp_path, "train", "--params", b"\xff[/x]\x1b[2J", TERM="dumb")
    out, err = process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"error: \\udcff[/x]\\x1b[2J: no such file")


def test_a_terminal_without_unicode(tmp_path):
    process = started(tmp_path, "--help", LC_ALL="C", PYTHONIOENCODING="ascii", NO_COLOR="1")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.isascii()
    assert b"predict" in out
    name = "données".encode()
    process = started(tmp_path, "audit-labels", "--raw", name, PYTHONIOENCODING="ascii")
    out, err = process.communicate()
    assert process.returncode == 1
    assert b"error: --raw: donn\\xe9es: no such directory" in err


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["--version"]])
def test_a_reader_that_has_seen_enough(tmp_path, arguments):
    process = started(tmp_path, *arguments)
    process.stdout.close()  # as `head` does
    _, err = process.communicate()
    assert err == b""
    assert process.returncode in (0, 1)  # 0: it had written before


def test_traceback_with_debug_alone(project):
    assert "Traceback" not in project.refused("train", "--params", "none.yaml")
    status, printed = project("--debug", "train", "--params", "none.yaml")
    assert status == 1
    assert "Traceback" in printed


@pytest.mark.parametrize("gene", ["", " ", "gene[/x]", "$^{", "../../evil", "\x1b[2J", "x" * 3000])
def test_genes_that_no_dataset_has(small, gene):
    small.ok("ingest")
    message = small.refused("explain", "--gene", gene, "--cell", "E003")
    assert f"--gene {gene[:3000]!r}: no such gene" in message
