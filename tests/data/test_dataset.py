"""A dataset is read only where it is as it was written, and trained on only where it passed."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from conftest import sealed
from datasets import write_info
from deepchrome import seals
from deepchrome.data.dataset import (
    Dataset,
    check_validated,
    write_genes,
    write_labels,
    write_signals,
)
from deepchrome.errors import DeepChromeError

GENES = np.array(["ENSG1", "ENSG2", "ENSG3"], object)
SPLITS = ["train", "valid", "test"]


@pytest.fixture
def data(tmp_path):
    write_info(tmp_path, [], hash="abc")
    return Dataset(tmp_path)


def test_the_content_that_passed_is_accepted(data, tmp_path):
    passed = tmp_path / "validate.json"
    passed.write_text(json.dumps({"dataset": "abc"}))
    check_validated(data, passed)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"dataset": "other"}', "other"),
        ("{", "none"),
        ("[1]", "none"),
        ("[" * 100_000, "none"),
        (None, "none"),
    ],
)
def test_other_content_is_refused(content, named, data, tmp_path):
    passed = tmp_path / "validate.json"
    if content is not None:
        passed.write_text(content)
    with pytest.raises(DeepChromeError, match=rf"not passed.*is of {named}, the dataset is abc"):
        check_validated(data, passed)


@pytest.fixture
def folder(tmp_path):
    """A dataset of two cell types and three genes."""
    path = tmp_path / "dataset"
    rng = np.random.default_rng(0)
    genes = pd.DataFrame({"gene_id": GENES, "chrom": "chr1", "tss": [1, 2, 3], "split": SPLITS})
    labels = []
    for cell in ("E003", "E123"):
        X = rng.poisson(1, (3, 100, 5)).astype(np.uint16)
        write_signals(path / f"signals/{cell}.parquet", GENES, X)
        labels.append(pd.DataFrame({"cell": cell, "gene_id": GENES, "label": [0, 1, 1]}))
    write_genes(path / "genes.parquet", genes)
    write_labels(path / "labels.parquet", labels)
    medians = {"E003": 3.29, "E123": 1.5}
    write_info(path, ["E003", "E123"], rpkm_median=medians)
    return path


def content(path):
    """All that can be read of a dataset, as bytes."""
    data = Dataset(path)
    cells = [data.load(cell) for cell in data.cells]
    arrays = [array for one in cells for array in (one.gene_id, one.X, one.y, one.split)]
    return repr(
        (data.info, data.genes.to_csv(), data.labels.to_csv(), [one.tolist() for one in arrays])
    )


FILES = ["dataset.json", "genes.parquet", "labels.parquet", "signals/E123.parquet"]


@pytest.mark.parametrize("name", FILES)
def test_one_bit_flipped_is_noticed(name, folder):
    whole, path = content(folder), folder / name
    right = path.read_bytes()
    rng = np.random.default_rng(0)
    ends = np.arange(len(right) - 200, len(right))  # the footer decides what all else means
    for at in np.unique(np.concatenate([rng.integers(0, len(right), 100), ends])):
        damaged = bytearray(right)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = content(folder)
        except DeepChromeError as error:
            refused = str(error)
            found = whole if name in refused and "dvc repro ingest" in refused else refused
        assert found == whole


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_emptied_or_missing_is_named(name, folder):
    path = folder / name
    right = path.read_bytes()
    for left in (0, 1, 12, len(right) // 2, len(right) - 2):
        path.write_bytes(right[:left])
        with pytest.raises(DeepChromeError, match=rf"{name}.*dvc repro ingest"):
            content(folder)
    path.unlink()
    with pytest.raises(DeepChromeError, match=rf"{name}: no such file; .*dvc repro ingest"):
        content(folder)


def test_sealed_parquet_is_parquet_for_others(folder):
    path = folder / "labels.parquet"
    assert list(pd.read_parquet(path)["label"]) == [0, 1, 1, 0, 1, 1]
    pd.read_parquet(path).to_parquet(path)  # without a checksum, as earlier versions wrote it
    with pytest.raises(
        DeepChromeError, match=r"labels\.parquet: damaged.*no checksum here.*dvc repro ingest"
    ):
        Dataset(folder).load("E003")


def test_a_column_that_is_missing_is_named(folder):
    path = folder / "signals/E003.parquet"
    sealed(pd.read_parquet(path).drop(columns="H3K4me1"), path)
    with pytest.raises(DeepChromeError, match=r"E003\.parquet: .*H3K4me1"):
        Dataset(folder).load("E003")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cells": "E003"}, "cells: Input should be a valid list"),
        ({"cells": ["E003", "../E123"]}, "cells: '../E123' is no cell type's name"),
        ({"cells": ["E003", 5]}, "cells.1: Input should be a valid string"),
        ({"values": "reads"}, "values: "),
        ({"source": None}, "source: "),
        ({"hash": 5}, "hash: "),
        ({"rpkm_median": {"E003": 1.0}}, "rpkm_median is of E003, the cell types are E003, E123"),
        ({"rpkm_median": {"E003": "1", "E123": 1}}, "rpkm_median.E003: "),
        ({"training": {}}, "training is of"),
        ({"training": {"E003": 5, "E123": {}}}, "training.E003: "),
    ],
)
def test_other_types_in_dataset_json_are_named(changes, named, folder):
    path = folder / "dataset.json"
    seals.write_json(path, seals.read_json(path, "") | changes)
    with pytest.raises(DeepChromeError) as error:
        Dataset(folder)
    assert f"dataset.json: {named}" in str(error.value)
    assert "dvc repro ingest" in str(error.value)


@pytest.mark.parametrize("key", ["cells", "values", "labels", "rpkm_median", "hash"])
def test_a_key_missing_in_dataset_json_is_named(key, folder):
    path = folder / "dataset.json"
    info = seals.read_json(path, "")
    del info[key]
    seals.write_json(path, info)
    with pytest.raises(DeepChromeError, match=rf"dataset\.json: {key}: Field required"):
        Dataset(folder)


def test_a_changed_value_in_dataset_json_is_noticed(folder):
    path = folder / "dataset.json"
    path.write_text(path.read_text().replace("3.29", "3.99"))
    with pytest.raises(DeepChromeError, match=r"its checksum does not fit.*dvc repro ingest"):
        Dataset(folder)


def test_no_dataset_here(folder):
    shutil.rmtree(folder)
    with pytest.raises(DeepChromeError, match=r"dataset\.json: no such file.*dvc repro ingest"):
        Dataset(folder)
