import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import typer
import yaml
from rich.text import Text

from conftest import ROOT
from deepchrome import cli
from deepchrome.cli.app import app

assert cli.stages, "imported, the commands are registered"


def commands(group: Any, *before: str) -> dict[tuple[str, ...], Any]:
    """Return every command, those of groups included, by the words that call it."""
    found = {}
    for name, command in group.commands.items():
        words = (*before, name)
        found[words] = command
        if hasattr(command, "commands"):
            found |= commands(command, *words)
    return found


COMMANDS = commands(typer.main.get_command(app))


def words_of(text: str) -> str:
    """Return a text's words alone, without markup, frames and line ends."""
    return " ".join(re.findall(r"[\w.'=/-]+", Text.from_markup(text).plain))


def test_every_stage_is_a_command(project):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {(stage,) for stage in stages} <= COMMANDS.keys()
    printed = project.ok("--help")
    for name, *more in COMMANDS:
        assert more or re.search(rf"^\W*{name}\b", printed, flags=re.MULTILINE), name


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_tells_all_of_a_command(project, words, monkeypatch):
    """What it does, and of every option and argument its name and its help."""
    monkeypatch.setattr("rich.console.Console.width", property(lambda self: 400))
    printed = re.sub(r"[│╭╮╰╯─]", " ", project.ok(*words, "--help"))
    told = words_of(printed.replace("[", r"\["))
    command = COMMANDS[words]
    assert words_of(command.help.split("\n\n")[0]) in told
    for parameter in command.params:
        option = parameter.param_type_name == "option"
        names = parameter.opts if option else [parameter.metavar or parameter.name.upper()]
        for name in names:
            assert re.search(rf"(?<![\w-]){name}(?![\w-])", printed, re.IGNORECASE), name
        assert parameter.help, f"{parameter.name}: nothing said"
        assert words_of(parameter.help) in told, parameter.name


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


@pytest.mark.parametrize(
    "ask",
    [
        lambda: bytearray(1 << 60),
        lambda: np.empty(1 << 60, np.uint8),
        lambda: torch.empty(1 << 60, dtype=torch.uint8),
        lambda: pa.allocate_buffer(1 << 60),
    ],
    ids=["Python", "NumPy", "PyTorch", "Arrow"],
)
def test_too_little_memory_is_no_fault_of_the_program(small, monkeypatch, ask):
    small.ok("ingest")
    monkeypatch.setattr("deepchrome.stages.ingest.run", lambda *_: ask())
    message = small.refused("ingest")
    assert "not enough memory (" in message
    assert "name fewer cell types (cells)" in message
    assert "fault of the program" not in message
