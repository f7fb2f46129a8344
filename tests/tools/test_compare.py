"""'deepchrome compare' on experiments that DVC has run, with predictions made for the test."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import wilcoxon
from statsmodels.stats.multitest import multipletests

from conftest import ROOT, sealed, set_param
from deepchrome.console import console
from deepchrome.data.dataset import CellType
from deepchrome.evaluation import experiments, predictions
from deepchrome.evaluation.metrics import auroc
from deepchrome.tools.compare import FILES

CELLS = ["E003", "E016", "E057", "E066", "E071", "E095", "E116", "E123"]
GENES = np.array([f"ENSG{i:011d}" for i in range(240)])
SPLIT = np.array(["train", "valid", "test"] * 80, object)
SECRET = np.random.default_rng(0).normal(size=len(GENES))
"""What makes a gene high in every cell type."""

DVC_YAML = """
stages:
  train:
    cmd: mkdir -p data models &&
      cp -r made/${model}/dataset data && cp -r made/${model}/train models
    deps: ["made/${model}"]
    outs: [data/dataset, models/train]
  evaluate:
    cmd: mkdir -p predictions metrics &&
      cp made/${model}/evaluate.parquet predictions && cp made/${model}/evaluate.json metrics
    deps: [models/train, data/dataset]
    params: [model]
    outs: [predictions/evaluate.parquet]
    metrics: [metrics/evaluate.json: {cache: false}]
  cross_cell:
    cmd: mkdir -p predictions metrics &&
      cp made/${model}/cross_cell.parquet predictions && cp made/${model}/cross_cell.json metrics
    deps: [models/train, data/dataset]
    params: [model]
    outs: [predictions/cross_cell.parquet]
    metrics: [metrics/cross_cell.json: {cache: false}]
"""


def make(folder, model, noise, seeds=(0,), cells=CELLS, flip=0, genes=GENES, **described):
    """Write what the stages of one experiment would.

    noise: of the scores; the smaller, the better the model. flip: genes with another label.
    """
    rng, label_rng = np.random.default_rng(1), np.random.default_rng(2)
    seed_noise = np.random.default_rng(len(model))
    info = {"cells": cells, "source": "simulated", "labels": "rpkm", "split": "published"}
    info |= {"orientation": "genomic", "h3k4me3_halved": True, "values": "counts"} | described
    info["hash"] = described.get("hash", f"{len(cells)}{flip}{info['labels']}")
    within, between = [], []
    (folder / "dataset").mkdir(parents=True)
    (folder / "train").mkdir()
    with (
        predictions.Writer(folder / "evaluate.parquet") as own,
        predictions.Writer(folder / "cross_cell.parquet") as crossed,
    ):
        for cell in cells:
            y = (SECRET + 0.3 * label_rng.normal(size=len(GENES)) > 0).astype(np.int8)
            y[2 : 2 + 3 * flip : 3] ^= 1
            kept = np.isin(GENES, genes)
            data = CellType(cell, GENES[kept], np.zeros((kept.sum(), 1, 1)), y[kept], SPLIT[kept])
            shared = rng.normal(size=len(GENES)) + np.zeros((len(seeds), 1))
            error = shared + 0.02 * seed_noise.normal(size=(len(cells), *shared.shape))
            log_odds = (SECRET + noise * error)[..., kept]
            at = cells.index(cell)
            test = data.part("test")
            is_test = data.split == "test"
            own.add(
                [cell],
                list(seeds),
                data.without("train"),
                log_odds[[at]][..., data.split != "train"],
            )
            crossed.add(cells, list(seeds), test, log_odds[..., is_test])
            aurocs = [[auroc(test.y, one) for one in rows] for rows in log_odds[..., is_test]]
            within.append(np.mean(aurocs[at]))
            between += [np.mean(a) for i, a in enumerate(aurocs) if i != at]
    mean = round(float(np.mean(within)), 6)
    contents = {
        "dataset/dataset.json": info,
        "train/model.json": {
            "model": model, "parameters": 12, "dataset": info["hash"], "cells": cells
        },
        "evaluate.json": {"dataset": info["hash"], "auroc": mean},
        "cross_cell.json": {
            "dataset": info["hash"],
            "within_mean": mean,
            "between_mean": round(float(np.mean(between)), 6) if between else None,
        },
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))


def dvc(*arguments):
    from dvc.cli import main

    assert main(list(arguments)) == 0, arguments


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository of deepchrome, with experiments twin (equally good) and poor.

    'made' holds what the stages of these and of experiments on other data would write.
    """
    path = tmp_path_factory.mktemp("made")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["compare"]["resamples"] = 200
    (path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (path / "dvc.yaml").write_text(DVC_YAML)
    (path / ".gitignore").write_text("reports\nruns\n")
    for model, options in {
        "deepchrome": {"noise": 0.4},
        "deepchrome_avg": {"noise": 0.4001, "seeds": (0, 1)},
        "linear": {"noise": 1.0},
        "other-labels": {"noise": 0.4, "labels": "published", "flip": 20},
        "two-cells": {"noise": 0.4, "cells": CELLS[:2]},
        "other-content": {"noise": 0.4, "hash": "0123456789abcdef"},
        "unknown": {"noise": 0.4, "hash": "0123456789abcdef"},
        "fewer-genes": {"noise": 0.4, "genes": GENES[:-1]},
        "liar": {"noise": 0.4, "flip": 20, "hash": "80rpkm"},
        "deepchrome_strided": {"noise": 0.4001},
        "fully_connected": {"noise": 0.6},
    }.items():
        make(path / "made" / model, model, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.delenv("DVC_ROOT", raising=False)
        patch.delenv("DVC_EXP_NAME", raising=False)
        for key in ("GIT_AUTHOR", "GIT_COMMITTER"):
            patch.setenv(f"{key}_NAME", "A")
            patch.setenv(f"{key}_EMAIL", "a@example.org")
        subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
        dvc("init", "-q")
        dvc("repro", "-q")
        subprocess.run("git add -A && git commit -q -m start", shell=True, check=True)
        dvc("exp", "run", "-q", "-n", "twin", "-S", "model=deepchrome_avg")
        dvc("exp", "run", "-q", "-n", "poor", "-S", "model=linear")
        subprocess.run(["git", "restore", "."], check=True)
        dvc("checkout", "-q", "--force")
    return path


@pytest.fixture
def repo(made, project, monkeypatch, tmp_path):
    """A copy of it, in which a test may change what it likes."""
    path = tmp_path / "repo"
    shutil.copytree(made, path, symlinks=True)
    monkeypatch.chdir(path)
    project.path = path
    return project


@pytest.fixture
def faked(repo, monkeypatch):
    """Experiments named as the folders of 'made', without DVC."""

    def reader(name):
        folder = Path("made") / name
        params = yaml.safe_load(Path("params.yaml").read_text())
        if name == "other-content":
            params["simulate"]["cell_specificity"] = 0.5
        where = {"data": folder, "models": folder, "metrics": folder, "predictions": folder}

        def read(path):
            first, rest = path.split("/", 1) if "/" in path else (path, "")
            if path == "params.yaml":
                return yaml.safe_dump(params).encode()
            return (where[first] / rest).read_bytes()

        return read

    monkeypatch.setattr(experiments, "reader", reader)
    return repo


def aurocs(project, name):
    """Compute a made experiment's AUROC by cell type, mean over seeds, without the code tested."""
    from sklearn.metrics import roc_auc_score

    table = pd.read_parquet(project.path / f"made/{name}/evaluate.parquet")
    table = table[table["split"] == "test"]
    return (
        table.groupby(["test_cell", "seed"], observed=True)[["label", "log_odds"]]
        .apply(lambda rows: roc_auc_score(rows["label"], rows["log_odds"]))
        .groupby("test_cell", observed=True)
        .mean()
    )


def test_three_experiments(repo):
    before = {name: content for name, content in repo.snapshot().items() if ".git/" not in name}
    printed = repo.ok("compare", "workspace", "twin", "poor")
    assert "deepchrome and deepchrome_avg are equivalent within 0.01 AUROC on 8 cell types" in (
        printed.replace("deepchrome_avg and deepchrome ", "deepchrome and deepchrome_avg ")
    )
    assert re.search(
        r"deepchrome is better than linear on 8 cell types \(difference 0\.\d{3} AUROC"
        r", 95% CI 0\.\d{3} to 0\.\d{3}, p<0.001 corrected for 3 pairs\)",
        printed,
    )
    assert "\n  equivalent to it within 0.01: deepchrome" in printed
    assert "\n  lower: linear\n" in printed
    after = repo.snapshot()
    for name, content in before.items():
        if not name.startswith(".dvc/tmp"):
            assert after[name] == content, name
    report = repo.path / "reports/compare"
    assert sorted(path.name for path in report.iterdir()) == sorted(FILES)
    assert (report / "verdicts.txt").read_text().splitlines()[-1] in printed
    for name in ("auroc.png", "differences.png"):
        assert (report / name).read_bytes().startswith(b"\x89PNG")
    models = pd.read_csv(report / "models.csv").set_index("model")
    values = {name: aurocs(repo, name) for name in models.index}
    for name, row in models.iterrows():
        assert row["auroc"] == pytest.approx(values[name].mean(), abs=1e-5)
        assert row["low"] < row["auroc"] < row["high"]
        assert row["auroc"] != row["between"]
    assert list(models["auroc"]) == sorted(models["auroc"], reverse=True)
    assert models["seeds"].to_dict() == {"deepchrome": 1, "deepchrome_avg": 2, "linear": 1}
    assert models["seed_sd"].notna().to_dict()["deepchrome_avg"]
    pairs = pd.read_csv(report / "pairs.csv")
    p = []
    for row in pairs.itertuples():
        difference = values[row.first] - values[row.second]
        assert row.difference == pytest.approx(difference.mean(), abs=1e-5)
        assert row.difference >= 0
        assert row.low <= row.cells_low < row.difference < row.cells_high <= row.high
        p.append(wilcoxon(difference).pvalue)
    assert pairs["wilcoxon_p"].to_numpy() == pytest.approx(p, rel=1e-4)
    adjusted = multipletests(p, method="holm")[1]
    assert pairs["wilcoxon_p_holm"].to_numpy() == pytest.approx(adjusted, rel=1e-4)
    delong = pd.read_csv(report / "delong.csv")
    assert len(delong) == 3 * len(CELLS)
    poor = delong[delong["second"] == "linear"]
    row = pairs[(pairs["first"] == "deepchrome") & (pairs["second"] == "linear")].iloc[0]
    assert row["delong_higher"] == (poor[poor["first"] == "deepchrome"]["p_holm"] < 0.05).sum() > 0


def test_page(repo):
    before = {name: content for name, content in repo.snapshot().items() if ".git/" not in name}
    printed = repo.ok("report", "--compare", "workspace", "twin", "poor")
    assert "reports/compare/index.html: 3 sections, 2 figures" in printed
    page = (repo.path / "reports/compare/index.html").read_text()
    for name in ("deepchrome", "deepchrome_avg", "linear"):
        assert f"{name} {aurocs(repo, name).mean():.3f} (" in page  # of the figure, in words
    assert "deepchrome is better than linear on 8 cell types" in page
    assert "The data are simulated" in page
    after = repo.snapshot()
    for name, content in before.items():
        if not name.startswith(".dvc/tmp"):
            assert after[name] == content, name
    repo.ok("report", "--compare", "workspace", "poor", "--output", "reports/compare/two.html")
    assert "of 8 comparisons of two models" in (repo.path / "reports/compare/two.html").read_text()


def test_page_of_experiments_that_cannot_be_compared(faked):
    assert "run on different data" in faked.refused(
        "report", "--compare", "linear", "other-labels", "deepchrome"
    )
    assert "expected at least two" in faked.refused("report", "--compare", "linear")


def test_other_cell_types(repo):
    printed = repo.ok("compare", "workspace", "poor", "--between", "--output", "reports/between")
    assert "AUROC on other cell types than trained on" in printed
    models = pd.read_csv(repo.path / "reports/between/models.csv")
    assert models["auroc"].to_numpy() == pytest.approx(models["between"].to_numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["other-labels", "deepchrome", "linear"],
            [
                "Beside deepchrome:\n  other-labels: labels is published, not rpkm\n",
                "Compare those that share data: deepchrome compare deepchrome linear",
            ],
        ),
        (
            ["linear", "two-cells"],
            [
                "two-cells: cells is 2 (E003, E016), not 8 (E003, E016, E057, E066, E071 and 3 "
                "more)",
                "or run them again with the same data and cells",
            ],
        ),
        (["linear", "other-content"], ["other-content: simulate.cell_specificity is 0.5, not 0.0"]),
        (["linear", "unknown"], ["content 0123456789abcdef, not 80rpkm, though described alike"]),
        (
            ["linear", "fewer-genes"],
            ["fewer-genes: other test genes of E003 than linear has (79 genes against 80)"],
        ),
        (["linear", "liar"], ["liar: other labels of E003 than linear has"]),
    ],
)
def test_other_data_is_refused(faked, names, expected):
    status, printed = faked("compare", *names)
    assert status == 1
    assert "Traceback" not in printed
    for part in expected:
        assert part in printed
    assert not (faked.path / "reports").exists()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["poor", "pooor"], ["pooor: ", "did you mean 'poor'?"]),
        (["poor"], ["found 1 to compare (poor), expected at least two", "poor, twin"]),
        (["poor", "poor"], ["found 1 to compare (poor)"]),
        ([], ["found 0 to compare (none)"]),
    ],
)
def test_wrong_names_are_refused(repo, names, expected):
    status, printed = repo("compare", *names)
    assert status == 1
    for part in expected:
        assert part in printed
    assert not (repo.path / "reports").exists()


def test_all_experiments_of_the_commit(repo):
    repo.ok("compare", "--all", "main")
    models = pd.read_csv(repo.path / "reports/compare/models.csv")
    assert sorted(models["experiment"]) == ["main", "poor", "twin"]


def test_results_that_are_not_there_any_more(repo):
    shutil.rmtree(repo.path / ".dvc/cache")
    printed = repo("compare", "twin", "poor")[1]
    assert "twin: no models/train/model.json there, or not in DVC's cache" in printed
    assert "dvc exp pull <remote> twin" in printed


def test_a_workspace_out_of_step(repo):
    model = repo.path / "models/train/model.json"
    kept = model.read_text()
    model.unlink()  # it may be a link into DVC's cache
    model.write_text(kept.replace("12", "13"))
    printed = repo("compare", "workspace", "poor")[1]
    assert (
        "workspace: models/train changed since 'evaluate' ran; run 'dvc repro evaluate'" in printed
    )
    model.write_text(kept.replace("80rpkm", "other"))
    printed = repo("compare", "workspace", "poor")[1]
    assert "workspace: models/train is of dataset other, but data/dataset is 80rpkm" in printed
    model.write_text(kept)
    metrics = repo.path / "metrics/evaluate.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"auroc": 0.5}))
    printed = repo("compare", "workspace", "poor")[1]
    assert "metrics/evaluate.json says 0.500000: they are of different runs" in printed
    predicted = repo.path / "predictions/evaluate.parquet"
    predicted.unlink()
    predicted.write_bytes(b"PAR1")
    printed = repo("compare", "workspace", "poor")[1]
    assert "workspace: predictions/evaluate.parquet: damaged" in printed


def test_other_files_in_the_output_folder_stay(repo):
    mine = repo.path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (mine / "pairs.csv").write_text("of two horses")
    assert "pairs.csv: found a file that compare did not write" in repo.refused(
        "compare", "twin", "poor", "--output", "mine"
    )
    (mine / "pairs.csv").unlink()
    for _ in range(2):  # its own files it replaces
        repo.ok("compare", "twin", "poor", "--output", "mine")
    assert (mine / "notes.txt").read_text() == "mine"
    assert {path.name for path in mine.iterdir()} == {"notes.txt", *FILES}


def test_one_cell_type_and_the_same_model_twice(faked):
    """Names of experiments tell equal models apart; one cell type says nothing of others."""
    for name, noise in (("a", 0.4), ("b", 1.0)):
        make(faked.path / "made" / name, "linear", noise, cells=CELLS[:1])
    printed = faked.ok("compare", "a", "b")
    assert re.search(
        r"\na and b: undecided: n too small \(difference 0\.\d+ AUROC on 1 cell type, which says "
        r"nothing of others\)\n",
        printed,
    )


def test_the_same_predictions_are_equivalent(faked):
    shutil.copytree("made/linear", "made/again")
    printed = faked.ok("compare", "linear", "again")
    assert "(difference 0, 95% CI 0 to 0)" in printed
    assert "0:0" in printed


def test_no_high_or_no_low_gene(repo):
    table = pd.read_parquet("made/linear/evaluate.parquet")
    table["label"] = np.int8(1)
    sealed(table, Path("all_high.parquet"))
    with pytest.raises(experiments.DeepChromeError, match="E003 has 80 high and 0 low test genes"):
        experiments.scores_of("here", Path("all_high.parquet").read_bytes(), between=False)
    with pytest.raises(experiments.DeepChromeError, match="no predictions of other cell types"):
        experiments.scores_of("here", Path("all_high.parquet").read_bytes(), between=True)


def test_tables_fit_80_columns(faked, monkeypatch):
    monkeypatch.setattr(console, "width", 80)
    for name in ("deepchrome_strided", "fully_connected"):
        path = faked.path / "made" / name / "train/model.json"
        path.write_text(path.read_text().replace("12,", "3843351,"))
    printed = faked.ok("compare", "deepchrome", "deepchrome_strided", "fully_connected")
    tables = printed.split("± cells: ")[0]
    assert "3,843,351" in tables
    for word in ("equivalent", "better", "<0.001"):
        assert word in tables
    assert max(map(len, tables.splitlines())) <= 80
    assert "…" not in printed


def test_bad_params(repo):
    set_param(repo.path / "params.yaml", "compare.equivalence_margin", 0)
    assert "compare.equivalence_margin: found 0" in repo("compare", "twin", "poor")[1]


def test_help(project):
    assert "equivalent" in project.ok("compare", "--help")


@pytest.fixture
def study(tmp_path):
    """A folder with the Makefile and, for dvc and python, scripts that write down their use."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml", ".venv/python", ".venv/run"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".venv/bin").mkdir()
    (tmp_path / "existing").touch()
    for name in ("dvc", "python"):
        script = tmp_path / ".venv/bin" / name
        script.write_text(
            f'#!/bin/sh\necho "{name} $*" >> log\n'
            '[ "$1 $2" = "exp list" ] && cat existing\n'
            '[ "$1 $2" = "exp run" ] && echo $5 >> existing\n'
            'case "$*" in *$FAIL*) exit 1;; esac\nexit 0\n'
        )
        script.chmod(0o755)

    def run(*arguments, fail="nothing"):
        (tmp_path / "log").write_text("")
        done = subprocess.run(
            ["make", "study", *arguments], cwd=tmp_path, text=True, capture_output=True,
            env={"PATH": "/usr/bin:/bin", "FAIL": fail},
        )  # fmt: skip
        log = (tmp_path / "log").read_text().splitlines()
        return done, [line for line in log if "exp list" not in line]

    run.folder = tmp_path
    return run


def test_make_study(study):
    """It stops at a failure; the next time it goes on there; then it only compares."""
    done, log = study(fail="model=linear_sum")
    assert done.returncode != 0
    assert log[0] == "dvc repro validate"
    first = "dvc exp run --temp -n study-deepchrome -S model=deepchrome evaluate cross_cell"
    assert log[1] == first
    assert "model=linear_sum" in log[-1]
    failed = [line.split()[5] for line in log[1:]]
    (study.folder / "existing").write_text("\n".join(failed[:-1]) + "\n")
    done, log = study()
    assert done.returncode == 0
    assert "study-deepchrome: run before on this commit" in done.stdout
    ran = [line.split()[5] for line in log if "exp run" in line]
    assert ran[0] == "study-linear_sum"
    names = [*failed[:-1], *ran]
    assert log[-1] == f"python -m deepchrome compare {' '.join(names)} --output reports/study"
    models = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]
    every = {f"study-{model}" for model in models}
    assert set(names) == every - {"study-attentive", "study-transformer"}
    done, log = study("ALL=1")
    assert [line.split()[5] for line in log if "exp run" in line] == [
        "study-attentive",
        "study-transformer",
    ]
