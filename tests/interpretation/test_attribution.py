"""Attribution: exact where a closed form is known, complete for every architecture."""

import numpy as np
import pytest
import torch

from conftest import ROOT
from deepchrome import MARKS, N_BINS, params
from deepchrome.interpretation import attribution
from deepchrome.interpretation.log_odds import scorer
from deepchrome.params import ModelParams, paper_protocol
from deepchrome.training import store as trained
from deepchrome.training.jobs import Job, TrainedNetwork
from deepchrome.training.network import initial_weights

VARIANTS = params.load(ROOT / "params.yaml").models
INFO = {
    "values": "counts",
    "orientation": "genomic",
    "h3k4me3_halved": True,
    "labels": "rpkm",
    "hash": "none",
}


def models_of(path, variant: ModelParams, cells=("E003",), seeds=(0,)) -> trained.Models:
    """Write models with initial weights and a shift and scale of their own, and read them."""
    rng = np.random.default_rng(0)
    done = []
    for i, (cell, seed) in enumerate((cell, seed) for cell in cells for seed in seeds):
        # an untrained one tells next to nothing apart
        larger = 5 if variant.architecture == "attentive" else 1
        weights = {n: larger * w.numpy() for n, w in initial_weights(variant, 7 + i).items()}
        shift, scale = (rng.uniform(0.5, 1.5, len(MARKS)).astype(np.float32) for _ in range(2))
        done.append(TrainedNetwork(Job(cell, seed), weights, shift, scale, 1, 0.5, []))
    trained.save(path / "models", "variant", variant, done, INFO)
    return trained.Models(path / "models")


def counts(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 2.0, (n, N_BINS // 5, len(MARKS))).repeat(5, axis=1)
    return (rng.poisson(rate) + rng.integers(0, 6, (n, 1, len(MARKS)))).astype(np.uint16)


def log(X: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.log1p(X.astype(np.float32)))


COUNTS = [(name, "paper") for name in ("deepchrome", "linear", "fully_connected")]


@pytest.mark.parametrize(("name", "protocol"), [*((n, "tuned") for n in VARIANTS), *COUNTS])
def test_complete_for_every_architecture(tmp_path, name, protocol):
    variant = VARIANTS[name] if protocol == "tuned" else paper_protocol(VARIANTS[name])
    models = models_of(tmp_path, variant)
    score = scorer(models, "E003", 0)
    X = counts(2)
    expected = models.predict(X, ["E003"])[0, 0]
    np.testing.assert_allclose(score(log(X)).double().sigmoid(), expected, rtol=1e-4, atol=1e-5)
    x, against = log(X), log(counts(4, 1)).view(2, 2, N_BINS, len(MARKS))
    found = attribution.integrated_gradients(score, x, against, steps=160)
    got, expected = attribution.completeness(score, x, against, found)
    assert expected.abs().mean() > 1e-4
    assert (got - expected).abs().mean() < 0.05 * expected.abs().mean()


def test_closed_form_of_a_linear_model(tmp_path):
    variant = VARIANTS["linear"].model_copy(update={"reduce": None})
    models = models_of(tmp_path, variant)
    x, against = log(counts(3)), log(counts(12, 1)).view(4, 3, N_BINS, len(MARKS))
    found = attribution.integrated_gradients(scorer(models, "E003", 0), x, against, steps=1)
    weight = models.tensors["network.layer.weight"][0, 0]
    weight = (weight[1] - weight[0]).view(N_BINS, len(MARKS)) / models.tensors["scale"][0, 0]
    torch.testing.assert_close(found, weight * (x - against.mean(0)), rtol=1e-3, atol=1e-5)
    assert attribution.linear_weights(models, "E003", x) is None  # not one weight a mark


@pytest.mark.parametrize("name", ["linear", "linear_mean"])
def test_marks_of_a_reduced_model_are_exact(tmp_path, name):
    """Whatever the place within a mark, its total is weight times difference of the feature."""
    models = models_of(tmp_path, VARIANTS[name])
    x, against = log(counts(5)), log(counts(10, 1)).view(2, 5, N_BINS, len(MARKS))
    found = attribution.integrated_gradients(scorer(models, "E003", 0), x, against, steps=200)
    weight = models.tensors["network.layer.weight"][0, 0]
    weight = (weight[1] - weight[0]) / models.tensors["scale"][0, 0]
    features = models.preprocessing.features
    step = features(x.expm1()) - features(against.expm1()).mean(0)
    expected = (weight * step).squeeze(1)
    torch.testing.assert_close(found.sum(1), expected, rtol=0.02, atol=0.01)
    if name == "linear":  # against no reads at all: all of it at the bin of the maximum
        found = attribution.integrated_gradients(
            scorer(models, "E003", 0), x, torch.zeros_like(x)[None]
        )
        assert ((found != 0) & (x < x.amax(1, keepdim=True) - 1e-5)).sum() == 0


def test_linear_weights_are_per_standard_deviation(tmp_path):
    models = models_of(tmp_path, VARIANTS["linear_mean"], seeds=(0, 1))
    x = log(counts(50))
    found = attribution.linear_weights(models, "E003", x)
    assert found.shape == (2, len(MARKS))
    features = models.preprocessing.features(x.expm1())
    moved = features.clone()
    moved[:, 0, 3] += features[:, 0, 3].std(correction=0)
    weight = models.tensors["network.layer.weight"][0, 1]
    scale = models.tensors["scale"][0, 1]
    change = ((moved - features)[0, 0] / scale) @ (weight[1] - weight[0])
    assert found[1, 3] == pytest.approx(float(change), rel=1e-4)


def test_an_interaction_is_shared_by_its_two_sides():
    def score(x):
        return x[:, 20, 1] * x[:, 70, 4]

    x = log(counts(6)) + 1
    found = attribution.integrated_gradients(score, x, torch.zeros_like(x)[None])
    torch.testing.assert_close(found[:, 20, 1], score(x) / 2)
    torch.testing.assert_close(found[:, 70, 4], score(x) / 2)
    assert (found != 0).sum() == 12


def test_occlusion_of_a_sum():
    x, against = log(counts(6)), log(counts(12, 1)).view(2, 6, N_BINS, len(MARKS))
    weight = torch.linspace(-1, 1, len(MARKS))

    def score(x):
        return (x * weight).sum((1, 2))

    masks = torch.cat(
        [
            attribution.masks_of_marks(N_BINS, len(MARKS)),
            attribution.masks_of_regions(N_BINS, len(MARKS), 10),
        ]
    )
    after = attribution.occluded(score, x, against, masks)
    assert after.shape == (55, 2, 6)
    expected = score(x) + weight[3] * (against[1, ..., 3] - x[..., 3]).sum(1)
    torch.testing.assert_close(after[3, 1], expected)
    region = masks[5 + 7 * len(MARKS) + 3]  # the eighth kilobase of H3K4me3
    assert region.nonzero().tolist() == [[b, 3] for b in range(70, 80)]
    expected = score(x) + weight[3] * (against[0, :, 70:80, 3] - x[:, 70:80, 3]).sum(1)
    torch.testing.assert_close(after[5 + 7 * len(MARKS) + 3, 0], expected)


def test_effect_is_the_weight_per_standard_deviation():
    rng = np.random.default_rng(0)
    signal = rng.normal(3, 2, (200, 4))
    signal[:, 3] = 1  # never varies
    weight = np.array([0.5, -1.0, 0.0, 9.0])
    found = attribution.effect(weight * (signal - 7), signal)
    np.testing.assert_allclose(found, weight * signal.std(0))


def test_baselines_are_half_high_and_half_low():
    y = np.array([0] * 30 + [1] * 5)
    drawn = attribution.baselines(y, 40, 8, np.random.default_rng(3))
    assert drawn.shape == (8, 40)
    assert y[drawn].sum(0).tolist() == [4] * 40
    again = attribution.baselines(y, 40, 8, np.random.default_rng(3))
    np.testing.assert_array_equal(drawn, again)


def test_attention_sums_to_one(tmp_path):
    models = models_of(tmp_path, VARIANTS["attentive"])
    bins, marks = attribution.attention(models, "E003", 0, log(counts(3)))
    assert bins.shape == (3, N_BINS, len(MARKS))
    np.testing.assert_allclose(bins.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(marks.sum(1), 1, rtol=1e-5)
    inputs = models.preprocessing.features(torch.from_numpy(counts(3)))
    inputs = (inputs - models.tensors["shift"][0, 0]) / models.tensors["scale"][0, 0]
    for name, weight in models.network.named_parameters():
        weight.data.copy_(models.tensors[f"network.{name}"][0, 0])
    expected = models.network.attention(inputs)[0].detach()
    np.testing.assert_allclose(bins, expected.swapaxes(1, 2), rtol=1e-4)


def test_redrawn_weights_are_seeded_and_not_the_models_own(tmp_path):
    models = models_of(tmp_path, VARIANTS["linear"])
    once, again = (attribution.redrawn(models, 5)["layer.weight"] for _ in range(2))
    other = attribution.redrawn(models, 6)["layer.weight"]
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert not torch.equal(once, models.tensors["network.layer.weight"][0, 0])


def test_rank_correlation():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 10, 5))
    assert attribution.rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert attribution.rank_correlation(a, -a) == pytest.approx(-1)
    assert np.isnan(attribution.rank_correlation(a, np.zeros_like(a)))
