"""The train stage: what it writes, in one process and in several."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from conftest import HANGING, ROOT, stop_at_checkpoints, wait_for
from deepchrome import params, seals
from deepchrome.files import remove
from deepchrome.stages import train
from deepchrome.training import executor as machine


@pytest.fixture
def ready(small, kept):
    """A project whose data are validated; a small linear model, two seeds."""
    small.set("model", "linear")
    small.set("models.linear.epochs", 4)
    small.set("seeds", [0, 1])
    small.once(kept, "ingest", "validate")
    return small


def test_writes_models_curves_and_events(ready):
    printed = ready.ok("train")
    assert "12 parameters, 4 models (2 cell types x 2 seeds)" in printed
    weights = load_file("models/train/weights.safetensors")
    assert weights["network.layer.weight"].shape == (2, 2, 2, 5)
    assert weights["scale"].shape == (2, 2, 5)
    info = json.loads((ready.path / "models/train/model.json").read_text())
    history = pd.read_csv("plots/train/history.csv")
    assert list(history.columns) == ["cell", "seed", "epoch", "train_loss", "valid_auroc"]
    best = history.groupby(["cell", "seed"])["valid_auroc"].max().unstack()
    np.testing.assert_allclose(best.to_numpy(), info["valid_auroc"], atol=2e-6)
    curves = pd.read_csv("plots/train/curves.csv")
    assert list(curves.columns) == ["epoch", "train_loss", "valid_auroc"]
    first = history[history["epoch"] == 1]["valid_auroc"].mean()
    assert curves["valid_auroc"][0] == pytest.approx(first, abs=1e-6)
    (run,) = (ready.path / "runs").iterdir()
    events = EventAccumulator(str(run)).Reload()
    tags = set(events.Tags()["scalars"])
    for cell in ("ESC/E003", "ENCODE2012/E123"):
        assert {f"loss/{cell}-seed0", f"valid_auroc/{cell}-seed1"} <= tags
    assert set(events.Tags()["images"]) == {"curves", "cells"}
    charts = layout_pb2.Layout.FromString(
        events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    )
    per_lineage = {chart.title: chart.multiline.tag for chart in charts.category[0].chart}
    assert [tag for tag in tags if re.search(per_lineage["ESC"][0], tag)] == [
        tag for tag in tags if tag.startswith("valid_auroc/ESC/E003")
    ]
    assert {"mean/loss", "mean/valid_auroc", "hparam/valid_auroc"} <= tags
    logged = [event.value for event in events.Scalars("mean/valid_auroc")]
    np.testing.assert_allclose(logged, curves["valid_auroc"], atol=1e-5)
    assert len(list(run.iterdir())) == 1


def test_a_dataset_of_an_earlier_version_is_refused(ready):
    path = ready.path / "data/dataset/dataset.json"
    info = seals.read_json(path, "")
    del info["training"]
    seals.write_json(path, info)
    assert "dvc repro ingest" in ready.refused("train")
    assert not (ready.path / "models").exists()


def test_several_processes_give_the_same_numbers(ready, monkeypatch):
    ready.ok("train")
    together = load_file("models/train/weights.safetensors")
    ready.set("train.cells_at_once", 1)
    monkeypatch.setattr("deepchrome.training.groups.cores", lambda: 2)
    ready.ok("train")
    apart = load_file("models/train/weights.safetensors")
    for name, weight in together.items():
        np.testing.assert_allclose(weight, apart[name], rtol=1e-4, atol=1e-6)


def test_an_error_in_a_worker_process_reaches_the_user(ready, monkeypatch):
    ready.set("train.cells_at_once", 1)
    ready.set("models.linear.optimizer", "sgd")
    ready.set("models.linear.input", "counts")
    ready.set("models.linear.standardize", False)
    ready.set("models.linear.learning_rate", 1e38)
    monkeypatch.setattr("deepchrome.training.groups.cores", lambda: 2)
    message = ready.refused("train")
    assert "the training loss became" in message
    assert "epoch 1" in message


SMALL = {
    "linear": {},
    "deepchrome": {"filters": 4},
    "transformer": {"width": 4, "heads": 2, "feed_forward": 4},
}


@pytest.mark.parametrize("model", SMALL)
def test_adding_a_cell_type_trains_only_that_one(ready, model):
    ready.set("model", model)
    ready.set(f"models.{model}.options", SMALL[model])
    ready.set(f"models.{model}.epochs", 2)
    ready.set("cells", ["E123"])
    ready.ok("ingest")
    ready.ok("validate")
    ready.ok("train")
    alone = load_file("models/train/weights.safetensors")
    first = pd.read_csv("plots/train/history.csv")
    ready.set("cells", "all")
    ready.ok("ingest")
    ready.ok("validate")
    assert "2 of them were trained before" in ready.ok("train")
    both = load_file("models/train/weights.safetensors")
    for name, weight in alone.items():
        np.testing.assert_array_equal(weight[0], both[name][1])
    history = pd.read_csv("plots/train/history.csv")
    kept = history[history["cell"] == "E123"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, first)
    before = ready.snapshot()
    assert "4 of them were trained before" in ready.ok("train")
    assert ready.snapshot() == before
    for name in ("models", "plots", "metrics/train.json"):  # afresh: the same numbers
        remove(ready.path / name)
    ready.ok("train")
    for name, weight in load_file("models/train/weights.safetensors").items():
        np.testing.assert_allclose(weight, both[name], rtol=1e-4, atol=1e-6)


def test_other_settings_train_all_again(ready):
    ready.ok("train")
    ready.set("models.linear.learning_rate", 0.01)
    assert "trained before" not in ready.ok("train")


def test_mean_curves_carry_stopped_models_on():
    history = pd.DataFrame(
        {
            "cell": ["A", "A", "B"],
            "seed": 0,
            "epoch": [1, 2, 1],
            "train_loss": [1.0, 0.5, 2.0],
            "valid_auroc": [0.6, 0.8, 0.7],
        }
    )
    assert train.mean_curves(history)["valid_auroc"].tolist() == pytest.approx([0.65, 0.75])


def test_paper_protocol(ready):
    ready.set("protocol", "paper")
    chosen = params.load().chosen
    assert (chosen.optimizer, chosen.learning_rate, chosen.batch_size) == ("sgd", 1e-2, 32)
    assert (chosen.epochs, chosen.patience, chosen.schedule) == (100, 15, "cosine")
    assert (chosen.input, chosen.standardize) == ("counts", True)  # not scaled by the batch
    ready.set("model", "deepchrome_avg")
    chosen = params.load().chosen
    assert (chosen.learning_rate, chosen.input, chosen.standardize) == (1e-3, "counts", False)


def test_cores():
    assert machine.cores() >= 1


def nobody_left(group: int) -> bool:
    """Wait for the last process of a group to end."""
    deadline = time.monotonic() + HANGING
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def start_training(ready, name: str, *first: Path) -> subprocess.Popen:
    """Start `train` in a process group of its own; Ctrl-C reaches every process of a group.

    first: folders that are searched for modules before the package's.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "deepchrome", "train"],
        cwd=ready.path,
        env=os.environ
        | {"PYTHONPATH": ":".join(map(str, [*first, ROOT / "src"])), "DVC_EXP_NAME": name},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def tags_of(events: Path) -> str:
    """Return the tags of what a run has recorded so far; "" before it records."""
    if not events.is_dir() or not any(events.iterdir()):
        return ""
    return " ".join(EventAccumulator(str(events)).Reload().Tags()["scalars"])


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on_where_it_was(ready, sent):
    ready.set("model", "deepchrome")
    ready.set("models.deepchrome.epochs", 60)
    ready.set("models.deepchrome.patience", 60)
    ready.set("models.deepchrome.options", {"filters": 4})
    ready.ok("train")
    whole = load_file("models/train/weights.safetensors")
    for name in ("models", "plots", "metrics/train.json"):
        remove(ready.path / name)
    ready.set("train.checkpoint_seconds", 0)
    stops = ready.path / "stops"
    stop_at_checkpoints(stops)
    process = start_training(ready, "first", stops)
    found = ready.path / ".cache/train"
    wait_for(lambda: list(found.glob("*/*.safetensors")), process)
    os.kill(process.pid, sent) if sent == signal.SIGKILL else os.killpg(process.pid, sent)
    process.communicate(timeout=HANGING)
    assert nobody_left(process.pid)
    assert list(found.glob("*/*.safetensors")), "no checkpoint to go on from"
    assert not (ready.path / "models/train").exists()
    assert "going on from the checkpoints" in ready.ok("train")
    for name, weight in load_file("models/train/weights.safetensors").items():
        np.testing.assert_array_equal(weight, whole[name])
    assert not list(found.iterdir())


def test_ctrl_c_leaves_earlier_outputs_and_no_process(ready):
    ready.ok("train")
    before = ready.snapshot()
    ready.set("model", "deepchrome")
    ready.set("models.deepchrome.epochs", 2000)
    ready.set("models.deepchrome.patience", 2000)
    before["params.yaml"] = (ready.path / "params.yaml").read_bytes()
    process = start_training(ready, "interrupted")
    events = ready.path / "runs/interrupted"
    wait_for(lambda: "loss/" in tags_of(events), process)
    os.killpg(process.pid, signal.SIGINT)
    printed, _ = process.communicate(timeout=HANGING)
    assert process.returncode == 130
    assert "Traceback" not in printed
    assert ready.snapshot() == before
    assert nobody_left(process.pid)


def test_cell_types_named_by_digits_are_found_again(ready):
    """A column of digits is text, in every table that a later run reads."""
    shutil.move(ready.path / "data/raw/demo/E123", ready.path / "data/raw/demo/293")
    table = ready.path / "data/raw/demo" / "57epigenomes.RPKM.pc.gz"
    text = gzip.decompress(table.read_bytes()).decode().replace("E123", "293", 1)
    table.write_bytes(gzip.compress(text.encode()))
    for stage in ("ingest", "validate", "train"):
        ready.ok(stage)
    assert "4 of them were trained before" in ready.ok("train")


def test_recordings_can_be_switched_off(ready):
    """As YAML reads a bare off, and with the same numbers."""
    ready.ok("train")
    recorded = load_file("models/train/weights.safetensors")
    for name in ("models", "plots", "metrics/train.json"):
        remove(ready.path / name)
    ready.set("train.record", False)
    ready.ok("train")
    for name, weight in load_file("models/train/weights.safetensors").items():
        np.testing.assert_array_equal(weight, recorded[name])
    ready.set("train.record", "never")
    assert "train.record: found 'never', expected 'auto' or 'off'" in ready.refused("train")


@pytest.mark.parametrize("at_once", ["auto", 2])
def test_networks_that_cannot_be_batched_train_one_by_one(ready, at_once):
    """An LSTM has no batching rule, however many models are asked for at once."""
    ready.set("model", "attentive")
    ready.set("models.attentive.options", {"hidden": 2})
    ready.set("models.attentive.epochs", 1)
    ready.set("seeds", [0])
    ready.set("train.cells_at_once", at_once)
    assert "they train one after the other" in ready.ok("train")
    assert load_file("models/train/weights.safetensors")["scale"].shape == (2, 1, 5)
