"""Every command and stage that writes: another's files stay, a crash leaves outputs whole."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from great_expectations.data_context.store.html_site_store import HtmlSiteStore

from conftest import ROOT, Project
from deepchrome import files
from deepchrome.files import Folder, refuse
from deepchrome.stages import cross_cell, evaluate, gan, ingest, interpret, train, training_sets
from deepchrome.stages import validate as validation
from deepchrome.training import store

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
OUTPUTS = [
    (stage, path)
    for stage, content in STAGES.items()
    for listed in content["outs"] + content.get("metrics", [])
    for path in listed
]
"""Every output of every stage."""
WITHOUT_FOLDER = ("metrics/", "predictions/", "reports/index.html")
FOLDERS = [(stage, path) for stage, path in OUTPUTS if not path.startswith(WITHOUT_FOLDER)]
FILES = [(stage, path) for stage, path in OUTPUTS if path.startswith(WITHOUT_FOLDER)]


def everything(folder: Path) -> dict[str, bytes | str]:
    """Return all that lies below a folder, but for logs."""
    return {
        str(path.relative_to(folder)): f"to {os.readlink(path)}"
        if path.is_symlink()
        else (path.read_bytes() if path.is_file() else "a folder")
        for path in sorted(folder.rglob("*"))
        if not {"runs", "__pycache__"} & set(path.parts)
    }


@pytest.fixture
def finished(tmp_path, capsys, monkeypatch, kept):
    """A project in which every stage has run, with a home folder of its own, both in a folder."""
    for name in ("home", "work/project"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = Project(tmp_path / "work/project", capsys, monkeypatch)
    for key, value in {
        "simulate.cells": ["E003", "E123"],
        "simulate.genes": 240,
        "model": "linear",
        "models.linear.epochs": 2,
        "gan.steps": 20,
        "gan.examples": 60,
        "interpret.genes": 8,
    }.items():
        project.set(key, value)
    project.once(kept, *STAGES)
    for name in ("home/letter", "work/plan", "work/project/notes.txt", "work/project/mine/thesis"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("years of work")
    project.all = tmp_path
    return project


def refused(project, *command: str) -> str:
    """Run a command that is refused and leaves all as it was, also beside the project."""
    before = everything(project.all)
    message = project.refused(*command)
    assert everything(project.all) == before
    return message


# --- another's files ----------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "path"), FOLDERS)
def test_a_stage_keeps_what_another_put_into_its_folder(finished, stage, path):
    finished.set("gan.seed", 7)  # or there would be nothing to do
    inside = sorted({file.parent for file in Path(path).rglob("*") if file.is_file()})
    for folder in (inside[0], inside[-1]):
        for name in ("thesis.txt", "mine.csv", ".hidden"):
            (folder / name).write_text("years of work")
            message = refused(finished, stage)
            assert f"{path} holds what {stage} did not put there" in message
            assert f"replaced: {(folder / name).relative_to(path)}. " in message
            (folder / name).unlink()
    shutil.move(path, "aside")
    Path(path).symlink_to(finished.path / "mine")
    assert f"{path}: found a link to" in refused(finished, stage)
    Path(path).unlink()
    Path(path).write_text("notes")
    assert f"{path}: found a file, which the folder" in refused(finished, stage)


@pytest.mark.parametrize(("stage", "path"), FILES)
def test_a_stage_replaces_no_folder_by_a_file(finished, stage, path):
    finished.set("gan.seed", 7)
    Path(path).unlink()
    Path(path).mkdir()
    Path(path, "thesis.txt").write_text("years of work")
    assert "found a folder, which the file" in refused(finished, stage)
    shutil.rmtree(path)
    Path(path).symlink_to(finished.path / "notes.txt")
    if stage != "report" and path != "metrics/validate.json":  # which others read
        assert f"{path}: found a link to" in refused(finished, stage)


@pytest.mark.parametrize(
    "name",
    [
        "E017/classification/train.csv",
        "E003/notes.txt",
        "E003/classification/mine.csv",
        "E003/classification/old/train.csv",
        "samples.tsv",
    ],
)
def test_simulate_keeps_cell_types_that_it_did_not_make(finished, name):
    Path("data/raw/demo", name).parent.mkdir(parents=True, exist_ok=True)
    Path("data/raw/demo", name).write_text("mine")
    assert "holds what simulate did not put there" in refused(finished, "simulate")


def test_simulate_keeps_a_raw_directory_of_a_person(finished):
    Path("data/raw/demo/simulated.json").unlink()
    assert "holds what simulate did not put there" in refused(finished, "simulate")


def test_simulate_replaces_its_own_cell_types(finished):
    finished.set("simulate.cells", ["E123", "E004"])
    finished.ok("simulate")
    cells = {path.name for path in Path("data/raw/demo").iterdir() if path.is_dir()}
    assert cells == {"E123", "E004"}


def test_the_lists_of_what_stages_write_are_complete(finished):
    folders = [
        Folder("data/dataset", "ingest", ingest.DATASET),
        Folder("plots/ingest", "ingest", ["labels.csv"]),
        Folder("reports/data_docs", "validate", validation.DATA_DOCS),
        Folder("plots/validate", "validate", validation.PLOTS),
        Folder("plots/train", "train", train.PLOTS),
        Folder("plots/evaluate", "evaluate", evaluate.PLOTS),
        Folder("plots/cross_cell", "cross_cell", cross_cell.PLOTS),
        Folder("plots/training_sets", "training_sets", training_sets.PLOTS),
        Folder("plots/gan", "gan", gan.PLOTS),
        Folder("plots/interpret", "interpret", interpret.PLOTS),
        *(
            Folder(f"models/{name}", name, store.FILES)
            for name in ("train", "training_sets", "gan")
        ),
    ]
    refuse(*folders)
    assert {folder.path for folder in folders} == {path for _, path in FOLDERS} - {"data/raw/demo"}


def test_validate_keeps_notes_on_a_failed_run(finished):
    notes = Path("reports/failed_data_docs/notes.txt")
    notes.parent.mkdir()
    notes.write_text("mine")
    assert "failed_data_docs holds what validate did not" in refused(finished, "validate")


COMMANDS = {
    "predict": ("--input", "data/raw/demo/E003/classification/test.csv", "--model", "E003"),
    "explain": ("--gene", "ENSG00000000003", "--cell", "E003"),
    "calibrate": ("--raw", "data/raw/demo"),
    "report --compare": ("workspace", "other"),
    "combine": ("data/raw/demo", "data/raw/more"),
    "simulate-reads": ("--genes", "30"),
    "fetch roadmap": ("--url", "http://127.0.0.1:9/data.tar.gz"),
    "fetch roadmap-reads": ("--cells", "E003", "--url", "http://127.0.0.1:9"),
}
"""Commands whose output a person names, but for `compare`, with what they need."""
NAMED_FOLDERS = ("combine", "simulate-reads", "fetch roadmap", "fetch roadmap-reads")


@pytest.fixture
def elsewhere(finished):
    """Places where a person might send an output, by what stands there."""
    links = {"a link": "mine", "a link to a file": "notes.txt", "a dead link": "nothing"}
    for name, to in links.items():
        Path(name).symlink_to(to)
    Path("photo.png").write_bytes(b"\x89PNG\r\n\x1a\n of a horse")
    return finished


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_keeps_what_stands_at_its_output(elsewhere, command):
    gene = Path("data/raw/demo/E003/classification/test.csv").read_text().split(",")[0]
    options = [f"ENSG00000{gene}" if o.startswith("ENSG") else o for o in COMMANDS[command]]
    places = [".", "..", elsewhere.all / "home", "~", "/", "mine", "a link", "a dead link"]
    places += ["notes.txt", "notes.txt/x.png", "photo.png", "/dev/null", "a link to a file"]
    places += ["data/raw/demo", "models/train", "models/train/model.json"]
    for place in map(str, places):
        if place == "~":
            place = os.path.expanduser(place)
        message = refused(elsewhere, *command.split(), *options, "--output", place)
        assert "unexpected" not in message, (place, message)
        assert "127.0.0.1" not in message  # before any download
        if command in NAMED_FOLDERS and place == "mine":
            assert "did not put there and would be replaced: thesis" in message


def test_compare_keeps_what_stands_at_its_outputs(elsewhere):
    for name in ("models.csv", "verdicts.txt", "auroc.png"):
        Path(name).write_text("of horses")
        message = refused(elsewhere, "compare", "workspace", "other", "--output", ".")
        assert f"{name}: found a file that compare did not write" in message
        Path(name).unlink()
    Path("pairs.csv").mkdir()
    assert "found a folder" in refused(elsewhere, "compare", "a", "b", "--output", ".")
    assert "is no folder" in refused(elsewhere, "compare", "a", "b", "--output", "notes.txt")


def test_a_command_replaces_what_it_wrote(elsewhere):
    for _ in range(2):
        elsewhere.ok("predict", *COMMANDS["predict"], "--output", "scores.csv")
        elsewhere.ok("simulate-reads", *COMMANDS["simulate-reads"], "--output", "data/raw/own")
        elsewhere.ok("combine", "data/raw/demo", "data/raw/own", "--output", "data/raw/both")
        gene = Path("data/raw/demo/E003/classification/test.csv").read_text().split(",")[0]
        explained = ("explain", "--gene", f"ENSG00000{gene}", "--cell", "E003")
        elsewhere.ok(*explained, "--output", "gene.png")
    assert not list(elsewhere.all.rglob(".partial-*"))
    for folder, writer in (("data/raw/own", "simulate-reads"), ("data/raw/both", "combine")):
        for name in ("notes.txt", "reads/notes.txt", "demo/E003/notes.txt"):
            note = Path(folder, name)
            if not note.parent.is_dir():
                continue
            note.write_text("mine")
            options = COMMANDS[writer] if writer != "combine" else ("data/raw/demo", "data/raw/own")
            message = refused(elsewhere, writer, *options, "--output", folder)
            assert f"{writer} did not put there and would be replaced: {name}" in message
            note.unlink()


def test_no_command_replaces_what_it_reads(elsewhere):
    table = "data/raw/demo/57epigenomes.RPKM.pc.gz"
    os.link(table, "hard.gz")
    for place in (table, "hard.gz"):
        message = refused(elsewhere, "calibrate", "--raw", "data/raw/demo", "--output", place)
        assert "calibrate did not write" in message
    shutil.copytree("data/raw/demo", "data/raw/more")
    message = refused(
        elsewhere, "combine", "data/raw/demo", "data/raw/more", "--output", "data/raw/more"
    )
    assert "data/raw/more" in message
    scores = Path("genes.csv")
    scores.write_text("gene_id,score\n")  # what predict might have written
    options = ("--input", "genes.csv", "--model", "E003", "--output", "genes.csv")
    assert "which the same command reads" in refused(elsewhere, "predict", *options)


# --- links into DVC's cache ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_stages_run_over_links_into_the_cache_and_leave_the_cache(finished, kind):
    cache = finished.all / "shared/cache/files/md5"
    for number, path in enumerate(sorted(finished.path.rglob("*"))):
        top = path.relative_to(finished.path).parts[0]
        if path.is_file() and top in ("data", "models", "plots", "predictions", "reports"):
            cached = cache / f"{number % 256:02x}" / f"{number:030x}"
            cached.parent.mkdir(parents=True, exist_ok=True)
            path.rename(cached)
            cached.chmod(0o444)
            path.symlink_to(cached) if kind == "symlink" else os.link(cached, path)
    before = everything(cache)
    finished.set("gan.seed", 7)
    for stage in STAGES:
        finished.ok(stage)
    assert everything(cache) == before
    assert not [path for path in finished.path.rglob("*") if path.is_symlink()]


# --- crashes ------------------------------------------------------------------------------------


def start(project, *command: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "deepchrome", *command],
        cwd=project.path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def wait_for(condition, process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stage_that_is_ended(finished, sent):
    finished.set("simulate.cells", ["E003", "E123", "E004", "E116"])
    finished.set("simulate.genes", 15000)
    before = everything(finished.path / "data")
    process = start(finished, "simulate")
    wait_for(lambda: list(Path("data/raw").glob(".partial-*/simulated.json")), process)
    process.send_signal(sent)
    printed, _ = process.communicate()
    assert (
        process.returncode
        in {
            signal.SIGINT: (130,),
            signal.SIGTERM: (143,),
            signal.SIGKILL: (-9,),
        }[sent]
    )
    assert "Traceback" not in printed
    left = everything(finished.path / "data")
    if sent == signal.SIGKILL:
        left = {name: content for name, content in left.items() if ".partial-" not in name}
    assert left == before
    finished.set("simulate.genes", 240)
    finished.ok("simulate")
    assert not list(finished.path.rglob(".partial-*"))


@pytest.mark.parametrize("stage", ["ingest", "validate", "evaluate", "report"])
def test_a_full_disk(finished, stage):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    before = everything(finished.path)
    process = start(finished, stage, preexec_fn=limit)
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in printed
    assert "File too large" in printed
    assert everything(finished.path) == before


def test_a_page_of_the_data_docs_that_cannot_be_written(finished, monkeypatch):
    """Great Expectations itself would leave it out and go on."""

    def full(*_):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(HtmlSiteStore, "set", full)
    assert "No space left on device; free some space" in refused(finished, "validate")


@pytest.mark.parametrize("stage", ["ingest", "train"])
def test_with_64_open_files(finished, stage):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    finished.set("models.linear.epochs", 1)
    process = start(finished, stage, preexec_fn=limit)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed


@pytest.mark.parametrize(("stage", "path"), OUTPUTS)
def test_two_runs_of_a_stage_at_once(finished, stage, path):
    finished.set("gan.seed", 7)
    with files.only_writer(Path(path)):
        assert f"{path}: another run is writing it now; wait" in finished.refused(stage)
