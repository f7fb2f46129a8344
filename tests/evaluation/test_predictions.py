"""Predictions are read only where they are as they were written."""

import numpy as np
import pytest

from deepchrome.data.dataset import CellType
from deepchrome.errors import DeepChromeError
from deepchrome.evaluation import predictions

GENES = np.array([f"g{i}" for i in range(40)], object)


@pytest.fixture
def written(tmp_path):
    """The bytes of a file of two tested cell types, two models each."""
    path = tmp_path / "evaluate.parquet"
    split, y = np.full(40, "test", object), np.tile(np.int8([0, 1]), 20)
    random = np.random.default_rng(0)
    with predictions.Writer(path) as writer:
        for cell in ("E003", "E123"):
            test = CellType(cell, GENES, np.zeros((40, 1, 1)), y, split)
            writer.add(["E003"], [0, 1], test, random.normal(size=(1, 2, 40)).astype("float32"))
    return path.read_bytes()


def test_what_is_written_is_read(written):
    table = predictions.read("evaluate.parquet", written)
    assert len(table) == 2 * 2 * 40
    of_one = table[(table["test_cell"] == "E123") & (table["seed"] == 1)]
    assert list(of_one["gene_id"]) == list(GENES)
    right = np.random.default_rng(0).normal(size=(2, 2, 40)).astype("float32")
    np.testing.assert_array_equal(of_one["log_odds"], right[1, 1])


def test_a_flipped_bit_is_noticed_or_changes_nothing(written):
    right = predictions.read("evaluate.parquet", written)
    messages = []
    for bit in np.random.default_rng(0).choice(8 * len(written), 300, replace=False):
        damaged = bytearray(written)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = predictions.read("evaluate.parquet", bytes(damaged))
        except DeepChromeError as error:
            messages.append(str(error))
        else:
            assert found.equals(right), bit
    assert len(messages) > 280
    assert all("evaluate.parquet" in each and "dvc repro" in each for each in messages)


@pytest.mark.parametrize("length", [0, 4, 100, -1, -50])
def test_a_file_cut_off_is_named(length, written):
    with pytest.raises(DeepChromeError, match=r"evaluate\.parquet: damaged"):
        predictions.read("evaluate.parquet", written[:length])
