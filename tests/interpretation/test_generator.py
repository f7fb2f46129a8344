"""A generator on disk: damaged, of two runs, or of another version."""

import re

import numpy as np
import pytest
import torch

from deepchrome import seals
from deepchrome.errors import DeepChromeError
from deepchrome.interpretation.generator import Generator, save
from deepchrome.interpretation.network import Network

INFO = {
    "cells": ["E003", "E004"],
    "values": "counts",
    "state": "trained",
    "finite": True,
    "dataset": "abc",
    "settings": {"seed": 0},
}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save(tmp_path / "gan", Network(torch.zeros(4, 100, 5)), INFO)
    return tmp_path / "gan"


def test_damaged_generators(folder, tmp_path):
    with pytest.raises(DeepChromeError, match="no such file"):
        Generator(tmp_path / "nothing")
    save(tmp_path / "two", Network(torch.zeros(2, 100, 5)), INFO)
    with pytest.raises(DeepChromeError, match="does not hold a generator for the 2 cell types"):
        Generator(tmp_path / "two")
    (folder / "weights.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DeepChromeError, match="damaged"):
        Generator(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_flipped_bit_is_noticed_or_changes_nothing(name, folder):
    def content():
        generator = Generator(folder)
        return generator.info, generator.sample("E003", np.array([0, 1]), seed=0).tolist()

    whole, right = content(), (folder / name).read_bytes()
    messages = []
    for bit in np.random.default_rng(0).choice(8 * len(right), 100, replace=False):
        damaged = bytearray(right)
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(damaged)
        try:
            found = content()
        except DeepChromeError as error:
            messages.append(str(error))
        else:
            assert found == whole, bit
    assert len(messages) > 80
    assert all(name in each and "dvc repro gan" in each for each in messages)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cells": "E003"}, "cells: "),
        ({"state": "good"}, "state: "),
        ({"finite": 1}, "finite: "),
        ({"settings": {"seed": "0"}}, "settings.seed: "),
        ({"settings": None}, "settings: "),
    ],
)
def test_other_types_in_model_json_are_named(change, named, folder):
    path = folder / "model.json"
    seals.write_json(path, seals.read_json(path, "") | change)
    with pytest.raises(DeepChromeError, match=f"model.json: {re.escape(named)}.*dvc repro gan"):
        Generator(folder)
