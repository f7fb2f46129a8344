"""predict, and models that do not fit."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import expit

from conftest import make_genes, write_raw
from deepchrome import seals
from deepchrome.data.dataset import Dataset
from deepchrome.training.store import Models, write_folder


@pytest.fixture
def trained(small, kept):
    """A project with a trained linear model of two cell types and two seeds."""
    small.set("model", "linear")
    small.set("models.linear.epochs", 5)
    small.set("seeds", [0, 1])
    small.once(kept, "ingest", "validate", "train")
    return small


def predict(project, *more, model="E003", source="data/raw/demo/E003/classification/test.csv"):
    return ["predict", "--input", source, "--model", model, "--output", "scores.csv", *more]


def test_scores_as_evaluate_does(trained):
    trained.ok("evaluate")
    trained.ok(*predict(trained))
    scores = pd.read_csv("scores.csv").set_index("gene_id")["score"]
    table = pd.read_parquet("predictions/evaluate.parquet")
    table = table[(table["train_cell"] == "E003") & (table["split"] == "test")]
    expected = expit(table.set_index("gene_id")["log_odds"]).groupby(level=0, observed=True).mean()
    assert len(scores) == len(expected) == 40
    np.testing.assert_allclose(scores[expected.index], expected, atol=1e-6)


def test_all_averages_over_cell_types_and_needs_no_label(trained):
    parts = []
    for cell in ("E003", "E123"):
        trained.ok(*predict(trained, model=cell))
        parts.append(pd.read_csv("scores.csv")["score"])
    source = trained.path / "unlabelled.csv"
    with_label = (trained.raw / "E003/classification/test.csv").read_text().splitlines()
    source.write_text("\n".join(line.rsplit(",", 1)[0] for line in with_label) + "\n")
    trained.ok(*predict(trained, model="all", source=source))
    found = pd.read_csv("scores.csv")["score"]
    np.testing.assert_allclose(found, sum(parts) / 2, atol=1e-6)


def test_a_prediction_depends_on_no_other_gene(trained):
    models, cell = Models("models/train"), Dataset("data/dataset").load("E003")
    whole = models.predict(cell.X, ["E003"])
    alone = models.predict(cell.X[5:6], ["E003"])
    np.testing.assert_allclose(whole[..., 5:6], alone, rtol=1e-5)


def test_unknown_cell_type(trained):
    message = trained.refused(*predict(trained, model="E03"))
    assert "no model of cell type 'E03'" in message
    assert "did you mean 'E003'?" in message


def test_missing_input_and_bad_input(trained):
    assert "nowhere.csv: no such file" in trained.refused(*predict(trained, source="nowhere.csv"))
    bad = trained.path / "bad.csv"
    bad.write_text("000001,1,0,0,0,0,-4,0\n")
    message = trained.refused(*predict(trained, source=bad))
    assert "bad.csv: line 1: gene ENSG00000000001, H3K9me3: found '-4'" in message
    bad.write_text("000001,1,0,0,0,0,4,0,1,1\n")
    assert "found 10 columns" in trained.refused(*predict(trained, source=bad))


def test_single_h3k4me3_is_said_so(trained):
    genes = make_genes(2, 0)
    genes[0].counts[3, 3] = 7
    write_raw(trained.path / "own", per_split=2)
    text = "\n".join(
        f"{genes[0].number},{b + 1}," + ",".join(map(str, genes[0].counts[b])) for b in range(100)
    )
    (trained.path / "own.csv").write_text(text + "\n")
    message = trained.refused(*predict(trained, source="own.csv"))
    assert "bin 4: H3K4me3 is 7, an odd count" in message
    assert "--h3k4me3-single" in message
    trained.ok(*predict(trained, "--h3k4me3-single", source="own.csv"))


def alter(project, **changes):
    path = project.path / "models/train/model.json"
    seals.write_json(path, seals.read_json(path, "") | changes)


MISFITS = {
    "architecture": ({"architecture": "fully_connected"}, "does not hold the fully_connected"),
    "unknown architecture": ({"architecture": "lienar"}, "did you mean 'linear'?"),
    "marks": ({"marks": ["H3K27ac", "H3K4me3"]}, "trained on 100 bins of H3K27ac, H3K4me3"),
    "cell types": ({"cells": ["E003"]}, "does not hold the linear architecture"),
}


@pytest.mark.parametrize(("changes", "expected"), MISFITS.values(), ids=MISFITS.keys())
def test_models_that_do_not_fit(trained, changes, expected):
    alter(trained, **changes)
    assert expected in trained.refused(*predict(trained))


def test_damaged_models(trained):
    path = trained.path / "models/train/weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in trained.refused(*predict(trained))
    path.unlink()
    assert "weights.safetensors" in trained.refused(*predict(trained))
    shutil.rmtree(trained.path / "models")
    assert "dvc repro train" in trained.refused(*predict(trained))


def test_a_tensor_too_many(trained):
    path = trained.path / "models/train"
    info = seals.read_json(path / "model.json", "")
    tensors = load_file(path / "weights.safetensors")
    shutil.rmtree(path)
    write_folder(path, tensors | {"extra": torch.zeros(2, 2, 1)}, info)
    assert "extra" in trained.refused(*predict(trained))


def test_stages_refuse_data_that_were_not_validated_or_trained_on(trained):
    trained.set("cells", ["E003"])
    trained.ok("ingest")
    assert "has not passed validation" in trained.refused("train")
    assert "trained on dataset" in trained.refused("evaluate")
    assert "trained on dataset" in trained.refused("cross_cell")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_without_a_gpu(trained):
    trained.set("device", "cuda")
    assert "no CUDA GPU is available" in trained.refused("train")
    assert "no CUDA GPU" in trained.refused(*predict(trained, "--device", "cuda"))
    assert "expected auto, cpu or cuda" in trained.refused(*predict(trained, "--device", "gpu"))


def test_log_odds_rank_genes_whose_probabilities_are_all_one(trained):
    """Probabilities saturate; what is stored and ranked does not."""
    path = trained.path / "models/train"
    info = seals.read_json(path / "model.json", "")
    weights = load_file(path / "weights.safetensors")
    name = "network.layer.bias"
    weights[name] = weights[name] + torch.tensor([-50.0, 50.0])
    shutil.rmtree(path)
    write_folder(path, weights, info)
    X = Dataset("data/dataset").load("E003").X
    assert (Models("models/train").predict(X, ["E003"]) == 1).all()
    assert len(np.unique(Models("models/train").log_odds(X, ["E003"]))) > 50


@pytest.mark.parametrize("output", ["thesis", ".", ".."])
def test_a_folder_is_not_replaced_by_scores(trained, output):
    (trained.path / "thesis").mkdir()
    (trained.path / "thesis/chapter").write_text("years of work")
    command = predict(trained)
    command[command.index("scores.csv")] = output
    message = trained.refused(*command)
    assert "replace" in message
