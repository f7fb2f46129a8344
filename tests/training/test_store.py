"""Models are read only where they are as they were written."""

import json

import numpy as np
import pytest

from deepchrome import seals
from deepchrome.errors import DeepChromeError
from deepchrome.params import ModelParams
from deepchrome.training import store
from deepchrome.training.jobs import Job, TrainedNetwork

PARAMS = ModelParams(
    architecture="linear",
    reduce="max",
    input="log1p",
    standardize=True,
    optimizer="adam",
    learning_rate=0.01,
    batch_size=32,
    epochs=1,
    patience=1,
)
DATASET = {
    "values": "counts",
    "orientation": "genomic",
    "h3k4me3_halved": True,
    "labels": "rpkm",
    "hash": "0123456789abcdef",
}
X = np.arange(3 * 100 * 5, dtype=np.uint16).reshape(3, 100, 5) % 17


@pytest.fixture
def folder(tmp_path):
    """Models of two cell types and two seeds."""
    network = store.build("linear", 1, 5, {})
    rng = np.random.default_rng(0)
    networks = [
        TrainedNetwork(
            Job(cell, seed),
            {
                name: rng.normal(size=weight.shape).astype(np.float32)
                for name, weight in network.named_parameters()
            },
            np.zeros(5, np.float32),
            np.ones(5, np.float32),
            3,
            0.75,
            [],
        )
        for cell in ("E003", "E123")
        for seed in (0, 1)
    ]
    store.save(tmp_path / "models", "linear", PARAMS, networks, DATASET)
    return tmp_path / "models"


def content(folder):
    models = store.Models(folder)
    return repr((models.info, models.log_odds(X, models.cells).tolist()))


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_one_bit_flipped_is_noticed(name, folder):
    whole, path = content(folder), folder / name
    right = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(right), 150):
        damaged = bytearray(right)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = content(folder)
        except DeepChromeError as error:
            refused = str(error)
            found = whole if name in refused and "dvc repro train" in refused else refused
        assert found == whole


def test_weights_of_another_run_are_refused(folder, tmp_path):
    info = seals.read_json(folder / "model.json", "")
    seals.write_json(folder / "model.json", info | {"weights_sha256": "0" * 64})
    with pytest.raises(DeepChromeError, match=r"weights\.safetensors: .*another.*dvc repro train"):
        store.Models(folder)


@pytest.mark.parametrize("key", ["weights_sha256", "checksum", "options", "keys"])
def test_models_of_an_earlier_version_are_to_be_trained_again(key, folder):
    path = folder / "model.json"
    info = json.loads(path.read_text())
    del info[key]
    path.write_text(json.dumps(info))
    with pytest.raises(DeepChromeError, match=rf"no {key} here.*earlier version.*dvc repro train"):
        store.Models(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"more": 1}, "more: Extra inputs are not permitted"),
        ({"cells": "E003"}, "cells: "),
        ({"cells": [3, 4]}, "cells.0: "),
        ({"seeds": [0, "1"]}, "seeds.1: "),
        ({"marks": 5}, "marks: "),
        ({"bins": "100"}, "bins: "),
        ({"values": "reads"}, "values: "),
        ({"h3k4me3_halved": "no"}, "h3k4me3_halved: "),
        ({"preprocessing": {"reduce": "max"}}, "preprocessing.transform: "),
        ({"preprocessing": None}, "preprocessing: "),
        ({"best_epoch": 3}, "best_epoch: "),
        ({"best_epoch": [[3, 3]]}, "best_epoch is not of 2 cell types and 2 seeds"),
        ({"valid_auroc": [[0.5], [0.5]]}, "valid_auroc is not of 2 cell types and 2 seeds"),
        ({"keys": []}, "keys is not of 2 cell types and 2 seeds"),
        ({"options": {"pooling": "max"}}, "options.pooling: unknown option"),
        ({"options": []}, "options: "),
        ({"architecture": "lienar"}, "did you mean 'linear'?"),
    ],
)
def test_other_keys_and_types_in_model_json_are_named(changes, named, folder):
    path = folder / "model.json"
    seals.write_json(path, seals.read_json(path, "") | changes)
    with pytest.raises(DeepChromeError) as error:
        store.Models(folder)
    assert named in str(error.value)
