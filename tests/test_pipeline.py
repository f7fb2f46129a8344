"""The whole pipeline through DVC itself, on a tiny data set, in a clone of the project."""

import json

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from conftest import stop_at_checkpoints, write_raw
from deepchrome.training.store import Models


def test_repro_makes_everything_and_then_nothing(clone):
    stages = ["simulate", "ingest", "validate", "train", "evaluate", "cross_cell", "training_sets"]
    assert clone.ran(clone.first) == [*stages, "gan", "interpret", "report"]
    for name in (
        "reports/index.html",
        "reports/data_docs/index.html",
        "plots/evaluate/cells.csv",
        "plots/evaluate/curves.png",
        "plots/cross_cell/auroc.png",
        "models/train/weights.safetensors",
        "predictions/cross_cell.parquet",
    ):
        assert (clone.path / name).is_file(), name
    assert clone.ran(clone("dvc repro")) == []
    hashes = {clone.metrics(stage)["dataset"] for stage in stages[1:]}
    assert len(hashes) == 1
    evaluated = clone.metrics("evaluate")
    low, high = evaluated["auroc_ci95"]
    rows = pd.read_parquet(clone.path / "predictions/cross_cell.parquet")
    rows = rows[(rows["split"] == "test") & (rows["train_cell"] == rows["test_cell"])]
    by_cell = rows.groupby("test_cell", observed=True)
    auroc = by_cell.apply(lambda some: roc_auc_score(some["label"], some["log_odds"])).mean()
    assert evaluated["auroc"] == pytest.approx(auroc, abs=1e-6)
    assert low < auroc < high
    assert clone.metrics("cross_cell")["within_mean"] == evaluated["auroc"]
    rows = pd.read_csv(clone.path / "plots/evaluate/cells.csv")
    assert list(rows.columns) == ["cell", "seed", "n", "auroc", "auprc", "accuracy"]
    assert rows["auroc"].mean() == pytest.approx(evaluated["auroc"], abs=1e-6)
    info = json.loads((clone.path / "data/dataset/dataset.json").read_text())
    assert info["source"] == "simulated"
    page = (clone.path / "reports/index.html").read_text()
    for shown in (f"AUROC {evaluated['auroc']:.3f}", "cell-types", "training-sets", info["hash"]):
        assert shown in page


def test_the_same_seed_gives_the_same_numbers(restored):
    before = restored.outputs()
    restored("rm -r models/train && dvc repro --force -s train evaluate cross_cell")
    after = restored.outputs()
    for name in before:
        if not name.startswith("reports"):
            assert after[name] == before[name], name


def test_summary_names_what_to_open(restored):
    printed = restored("PYTHONPATH=src python -m deepchrome summary")
    assert "E003" in printed
    assert "To look at:\n  reports/index.html" in printed
    assert "reports/data_docs/index.html" in printed
    assert "tensorboard --logdir runs" in printed


def test_only_what_depends_on_a_change_runs_again(restored):
    of_model = ["evaluate", "gan", "interpret", "report"]  # of what depends on the model
    changes = "-S model=linear_sum -S models.linear_sum.epochs=5"
    printed = restored(f"dvc exp run {changes} cross_cell")
    assert restored.ran(printed) == ["train", "cross_cell"]
    assert sorted(json.loads(restored("dvc status --json"))) == of_model
    restored("git checkout -q params.yaml && dvc checkout -q")
    printed = restored("dvc exp run -S 'cells=[E003]' cross_cell")
    assert restored.ran(printed) == ["ingest", "validate", "train", "cross_cell"]
    assert sorted(json.loads(restored("dvc status --json"))) == [*of_model, "training_sets"]
    assert Models(restored.path / "models/train").cells == ["E003"]
    assert restored.metrics("cross_cell")["between_mean"] is None


def test_a_critical_failure_stops_everything(restored):
    before = restored.outputs()
    restored.set("validate.max_count", 1)
    for command in ("dvc repro", "dvc repro train"):
        done = restored.run(command)
        assert done.returncode != 0
        assert restored.ran(done.stdout) == ["validate"]
        assert "Traceback" not in done.stdout
        assert restored.outputs() == before


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("cells", ["E003", "E124"], "did you mean 'E123'?"),
        ("data.lables", "rpkm", "data.lables: unknown key; did you mean 'labels'?"),
        ("data.raw", "params.yaml", "no such directory"),
    ],
)
def test_bad_params_through_dvc(restored, key, value, expected):
    before = restored.outputs()
    restored.set(key, value)
    done = restored.run("dvc repro")
    assert done.returncode != 0
    assert expected in done.stdout
    assert "Traceback" not in done.stdout
    assert restored.outputs() == before


def test_bad_raw_data_through_dvc(restored):
    before = restored.outputs()
    write_raw(restored.path / "data/raw/mine")
    path = restored.path / "data/raw/mine/E123/classification/test.csv"
    path.write_text(path.read_text().replace("000003,7,", "000003,0,", 1))
    restored("dvc add -q data/raw/mine")
    before = restored.outputs()
    restored.set("data.raw", "data/raw/mine")
    done = restored.run("dvc repro")
    assert done.returncode != 0
    assert "E123/classification/test.csv: line 7: gene ENSG00000000003, bin: found '0'" in (
        done.stdout
    )
    assert restored.outputs() == before


def test_two_queued_experiments_use_their_own_data_code_and_runs_folder(restored):
    """One is queued on other raw data, then the code is changed and another is queued."""
    write_raw(restored.path / "data/raw/mine", cells=("E004", "E005", "E006"), per_split=70)
    restored("dvc add -q data/raw/mine && git add -A && git commit -q -m 'My data'")
    restored("dvc exp run --queue -n on-mine -S data.raw=data/raw/mine evaluate")
    module = restored.path / "src/deepchrome/evaluation/metrics.py"
    real = "return float(np.mean((np.asarray(log_odds)"
    text = module.read_text()
    assert real in text
    module.write_text(text.replace(real, f"return 0.123\n    {real}"))
    changes = "-S model=linear_mean -S models.linear_mean.epochs=5"
    restored(f"dvc exp run --queue -n on-demo {changes} evaluate")
    restored("git checkout -q src params.yaml")
    printed = restored("dvc exp run --run-all 2>&1")
    assert "on-mine" in printed
    table = pd.read_csv(
        pd.io.common.StringIO(restored("dvc exp show --csv --no-pager 2>/dev/null"))
    ).set_index("Experiment")
    assert table.loc["on-mine", "n_cells"] == 3
    assert table.loc["on-demo", "n_cells"] == 2
    assert table.loc["on-mine", "accuracy"] != 0.123
    assert table.loc["on-demo", "accuracy"] == 0.123
    assert table.loc["on-mine", "model"] == "linear"
    assert table.loc["on-demo", "model"] == "linear_mean"
    for name in ("on-mine", "on-demo"):
        events = list((restored.path / "runs" / name).glob("events.out.tfevents.*"))
        assert len(events) == 1, name


def test_a_killed_run_goes_on_where_it_was(restored):
    """Under dvc repro and in an experiment that runs in a copy of its own."""
    restored.set("model", "deepchrome")
    restored.set("models.deepchrome.options", {"filters": 4})
    restored.set("models.deepchrome.epochs", 40)
    restored.set("models.deepchrome.patience", 40)
    restored.set("train.checkpoint_seconds", 0)
    restored("dvc repro train && cp -r models/train whole")
    stop = stop_at_checkpoints(restored.path / "src")
    restored("git add src && git commit -q -a -m 'Whole'")
    checkpoints = restored.path / ".cache/train"
    for command, models in (
        ("rm -rf models/train && dvc repro --force -s train", "models/train"),
        ("dvc exp run --temp -n killed -S models.deepchrome.epochs=41 train", None),
    ):
        stop.touch()
        restored.kill_when(command, lambda: list(checkpoints.glob("*/*.safetensors")))
        stop.unlink()
        printed = restored(command)
        assert "going on from the checkpoints" in printed
        assert not list(checkpoints.iterdir())
        if models:
            for name in ("weights.safetensors", "model.json"):
                whole = (restored.path / "whole" / name).read_bytes()
                assert (restored.path / models / name).read_bytes() == whole
