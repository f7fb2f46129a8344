"""dvc.yaml names all that a stage's result depends on: its code, by its imports, and its files."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from conftest import ROOT

SOURCE = ROOT / "src"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

CHANGES_NO_RESULT = {
    "src/deepchrome/__init__.py",  # the version, and constants that would change with all else
    "src/deepchrome/console.py",  # what a person sees while it runs
    "src/deepchrome/data/sources/names.py",  # it lets in or refuses
    "src/deepchrome/errors.py",
    "src/deepchrome/files.py",
    "src/deepchrome/outputs.py",
    "src/deepchrome/seals.py",
    "src/deepchrome/data/severities.py",  # names that params.yaml may hold
    "src/deepchrome/params.py",  # what it reads are the stage's params
    "src/deepchrome/params_errors.py",
    "src/deepchrome/yaml_files.py",
    "src/deepchrome/report/terminal.py",
    "src/deepchrome/training/executor.py",
    "src/deepchrome/training/progress.py",
    "src/deepchrome/training/tensorboard.py",  # runs/ is no output
}


def path_of(module: str) -> Path | None:
    """Return the file of a module or package of ours, if there is one."""
    base = SOURCE / module.replace(".", "/")
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@cache
def imported(path: Path) -> frozenset[Path]:
    """Return the files of ours that a file imports, anywhere in it, but not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deepchrome"):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("deepchrome")}
    found = {path_of(name) for name in names}
    # importing a module runs its packages' own code first
    packages = {parent / "__init__.py" for one in found if one for parent in one.parents}
    return frozenset(p for p in found | packages if p and p.is_file() and SOURCE in p.parents)


def reached(start: Path) -> set[Path]:
    """Return all files of ours that a file's code comes to."""
    found, waiting = set(), [start]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += imported(one)
    return found


def covered(path: str, deps: list[str]) -> bool:
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


@pytest.mark.parametrize("stage", STAGES)
def test_code(stage):
    deps = [str(dep) for dep in STAGES[stage]["deps"]]
    code = {
        path.relative_to(ROOT).as_posix()
        for path in reached(SOURCE / f"deepchrome/stages/{stage}.py")
        if len(ast.parse(path.read_text(encoding="utf-8")).body) > 1  # not a package's docstring
    }
    architectures = "src/deepchrome/models"  # found by name as it runs
    if f"{architectures}/__init__.py" in code:
        assert architectures in deps
    missing = {path for path in code - CHANGES_NO_RESULT if not covered(path, deps)}
    assert not missing, f"add to the deps of {stage} in dvc.yaml: {sorted(missing)}"


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_there_and_of_use(stage):
    reachable = {
        path.relative_to(ROOT).as_posix()
        for path in reached(SOURCE / f"deepchrome/stages/{stage}.py")
    }
    for dep in map(str, STAGES[stage]["deps"]):
        if dep.startswith("src/"):
            assert (ROOT / dep).exists(), f"{dep}: no such file"
            assert any(covered(path, [dep]) for path in reachable), f"{dep}: imported nowhere"


@pytest.mark.parametrize("stage", STAGES)
def test_files_that_a_stage_is_given(stage):
    """The paths that its `run` takes are outputs or dependencies."""
    run = inspect.signature(importlib.import_module(f"deepchrome.stages.{stage}").run)
    entry = STAGES[stage]
    outs = [
        str(name) for part in ("outs", "metrics") for item in entry.get(part, []) for name in item
    ]
    for name, parameter in run.parameters.items():
        if isinstance(parameter.default, str) and "/" in parameter.default:
            known = [*map(str, entry["deps"]), *outs]
            assert covered(parameter.default, known), f"{stage}.run({name}={parameter.default!r})"


def test_raw_data_and_what_was_checked():
    assert "${data.raw}" in STAGES["ingest"]["deps"]
    for stage in list(STAGES)[list(STAGES).index("validate") + 1 :]:
        assert "metrics/validate.json" in STAGES[stage]["deps"]


def test_files_that_the_report_reads():
    """Every path of the project that its code names."""
    deps = [str(dep) for dep in STAGES["report"]["deps"]]
    named = set()
    for path in (SOURCE / "deepchrome/report").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r'"((?:metrics|plots|models|predictions|data)/[\w./-]+)"', text))
    assert named
    deps.append("data/dataset")  # its dataset.json holds a hash of the rest
    assert not [path for path in named if not covered(path, deps)]


def test_a_change_of_what_trains_runs_the_stage_again():
    from deepchrome.training.keys import CODE

    for stage in ("train", "training_sets"):
        deps = [str(dep) for dep in STAGES[stage]["deps"]]
        assert all(covered(f"src/deepchrome/{name}", deps) for name in CODE)


def test_it_would_see_a_missing_one():
    found = {path.name for path in reached(SOURCE / "deepchrome/stages/ingest.py")}
    assert {"published.py", "dataset.py", "intervals.py"} <= found
