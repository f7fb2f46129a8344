import re

import pytest

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
