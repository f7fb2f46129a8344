"""The commands of docs/own_data.md, on simulated reads of fewer genes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from conftest import ROOT
from deepchrome.data.dataset import Dataset


def commands() -> list[list[str]]:
    """Return the commands of the page, without those that need the network or another's files."""
    page = (ROOT / "docs/own_data.md").read_text()
    blocks = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [shlex.split(line[2:]) for line in lines]


def scored(folder: Path, matrix: pd.DataFrame) -> list[float]:
    """Return the AUROC of each pair of cell types by scikit-learn, of the predictions."""
    rows = pd.read_parquet(folder / "predictions/cross_cell.parquet")
    found = {
        pair: roc_auc_score(some["label"], some["log_odds"])
        for pair, some in rows[rows["split"] == "test"].groupby(
            ["train_cell", "test_cell"], observed=True
        )
    }
    return [found[row.train_cell, row.test_cell] for row in matrix.itertuples()]


def stages_until(target: str) -> list[str]:
    """Return the stages that dvc runs for a target, but those that write the raw data."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

    def outputs(stage: dict) -> set[str]:
        return {
            next(iter(one)) if isinstance(one, dict) else one
            for one in [*stage["outs"], *stage.get("metrics", [])]
        }

    needed, found = [target], {target}
    while needed:
        deps = set(stages[needed.pop()]["deps"])
        new = {name for name, stage in stages.items() if outputs(stage) & deps} - found
        found |= new
        needed += new
    return [name for name in stages if name in found and name != "simulate"]


def test_the_page_leads_from_reads_to_roadmaps_models_on_them(project, pictures):
    assert stages_until("cross_cell") == ["ingest", "validate", "train", "cross_cell"]
    project.set("simulate.genes", 150)
    project.set("simulate.cells", ["E003", "E116"])
    project.set("models.linear.epochs", 20)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "-q"], check=True)
    ran = []
    for command in commands():
        ran.append(" ".join(command[:2]))
        match command:
            case ["deepchrome", *arguments]:
                fewer = ["150" if one == "1500" else one for one in arguments]
                project.ok(*fewer)
            case ["dvc", "add", path]:
                subprocess.run([*dvc, "add", "-q", path], check=True)
                assert (project.path / f"{path}.dvc").is_file()
            case ["dvc", "exp", "run", *arguments, target]:
                for key, value in (one.split("=") for one in arguments if one != "-S"):
                    project.set(key, value)
                for stage in stages_until(target):
                    project.ok(stage)
            case ["python", *arguments]:
                out = subprocess.run(
                    [sys.executable, *arguments], check=True, capture_output=True, text=True
                ).stdout
                assert len(out.splitlines()) == 6  # a header and five genes
    assert ran.count("dvc exp") == ran.count("dvc add") == 2
    assert {"deepchrome simulate-reads", "deepchrome combine", "python -c"} < set(ran)
    data = Dataset("data/dataset")
    assert data.cells == ["E003", "E116", "mine_a", "mine_b"]
    assert data.info["source"] == "simulated"
    matrix = pd.read_csv(project.path / "plots/cross_cell/auroc.csv")
    assert len(matrix) == 16
    assert matrix["auroc"].tolist() == pytest.approx(scored(project.path, matrix), abs=1e-6)
    assert (project.path / "plots/cross_cell/verdict.txt").read_text()
    for picture in ("auroc.png", "controls.png"):
        pictures.check(project.path / "plots/cross_cell" / picture)
