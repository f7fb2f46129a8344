"""A generator on disk: damaged, or of two runs."""

import pytest
import torch

from deepchrome.errors import DeepChromeError
from deepchrome.interpretation.generator import Generator, save
from deepchrome.interpretation.network import Network


def test_damaged_generators(tmp_path):
    with pytest.raises(DeepChromeError, match="no such file"):
        Generator(tmp_path / "nothing")
    network = Network(torch.zeros(2, 100, 5))
    info = {"cells": ["E003", "E004"], "values": "counts", "state": "trained", "dataset": ""}
    save(tmp_path / "gan", network, info)
    with pytest.raises(DeepChromeError, match="does not hold a generator for the 2 cell types"):
        Generator(tmp_path / "gan")
    (tmp_path / "gan/weights.safetensors").write_bytes(b"nonsense")
    with pytest.raises(DeepChromeError, match="damaged"):
        Generator(tmp_path / "gan")
