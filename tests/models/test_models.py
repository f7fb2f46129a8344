import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from conftest import ROOT
from deepchrome import models, params
from deepchrome.models import Dropout
from deepchrome.models.deepchrome import Largest
from deepchrome.models.preprocessing import Preprocessing

PARAMETERS = {
    "deepchrome": 644_177,
    "deepchrome_avg": 644_177,
    "deepchrome_strided": 362_927,
    "fully_connected": 3_843_351,
    "linear": 12,
    "linear_sum": 12,
    "linear_mean": 12,
    "linear_median": 12,
    "linear_min": 12,
    "attentive": 55_681,
    "transformer": 674_057,
}
VARIANTS = params.load(ROOT / "params.yaml").models


def build(name):
    variant = VARIANTS[name]
    return models.build(variant.architecture, 1 if variant.reduce else 100, 5, variant.options)


def test_every_variant_is_counted():
    assert set(VARIANTS) == set(PARAMETERS)


def test_largest_has_the_gradient_of_amax():
    h = torch.randint(-3, 3, (5, 4, 6, 3)).float()  # with ties
    h[:, 0, 0, 0] = 1
    gradient = torch.randn(4, 6, 3)
    ours, theirs = h.clone().requires_grad_(), h.clone().requires_grad_()
    (found,) = torch.autograd.grad(Largest.apply(ours), ours, gradient)
    (expected,) = torch.autograd.grad(theirs.amax(0), theirs, gradient)
    torch.testing.assert_close(found, expected)
    several = torch.func.vmap(Largest.apply, in_dims=2, out_dims=1)(ours)
    torch.testing.assert_close(torch.autograd.grad(several, ours, gradient)[0], expected)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p):
    x = torch.ones(200, 1000)
    dropped = Dropout(p)(x)
    scale = torch.tensor(1 / (1 - p))
    torch.testing.assert_close(dropped[dropped != 0].unique(), scale[None])
    kept = float((dropped != 0).float().mean())
    assert kept == pytest.approx(1 - p, abs=4 * (p * (1 - p) / x.numel()) ** 0.5 + 1e-9)
    assert torch.equal(Dropout(p).eval()(x), x)


def test_dropout_masks_are_independent():
    """Of neighbours in a row, column or rectangle, and of masks of neighbouring keys and calls."""
    drop, masks = Dropout(0.5), []
    for key in range(400):
        drop.key.fill_(key)
        drop.calls = 0
        masks.append(torch.stack([drop(torch.ones(32, 60)) - 1 for _ in range(2)]))
    m = torch.stack(masks)  # 1 where kept, -1 where dropped: (keys, calls, rows, columns)
    pairs = {
        "none": m,
        "columns": m[..., 1:] * m[..., :-1],
        "rows": m[..., 1:, :] * m[..., :-1, :],
        "rectangles": m[..., 1:, 1:] * m[..., 1:, :-1] * m[..., :-1, 1:] * m[..., :-1, :-1],
        "keys": m[1:] * m[:-1],
        "calls": m[:, 0] * m[:, 1],
    }
    for name, product in pairs.items():
        z = float(product.mean()) * product.numel() ** 0.5
        assert abs(z) < 4.5, name
    kept_by_row = m.mean(-1) * m.shape[-1] ** 0.5
    assert float(kept_by_row.var()) == pytest.approx(1, abs=0.05)
    torch.manual_seed(5)
    assert torch.equal(m[7, 0], _mask(7)), "it depends on torch's random numbers"


def _mask(key):
    drop = Dropout(0.5)
    drop.key.fill_(key)
    return drop(torch.ones(32, 60)) - 1


def test_every_dropout_layer_is_drawn_by_key():
    for name in PARAMETERS:
        layers = [type(module) for module in build(name).modules()]
        assert nn.Dropout not in layers
        assert (Dropout in layers) == (not name.startswith(("linear", "attentive")))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert models.n_parameters(build(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_scores_each_gene_by_itself(name):
    model, variant = build(name).eval(), VARIANTS[name]
    X = torch.randint(0, 50, (7, 100, 5))
    x = Preprocessing.of(variant).features(X)
    whole = models.margin(model(x))
    assert whole.shape == (7,)
    alone = torch.cat([models.margin(model(x[i : i + 1])) for i in range(7)])
    torch.testing.assert_close(whole, alone)


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("stride", [1, 2])
def test_deepchrome_is_the_published_convolution(pooling, stride):
    """The matrix product over windows equals nn.Conv1d with the same weights."""
    model = models.build("deepchrome", 100, 5, {"pooling": pooling, "stride": stride}).eval()
    convolution = nn.Conv1d(5, 50, 10, stride)
    convolution.weight.data = model.convolution.weight.data.view(50, 5, 10)
    convolution.bias.data = model.convolution.bias.data
    x = torch.rand(3, 100, 5)
    h = convolution(x.transpose(1, 2)).relu()
    pool = nn.functional.max_pool1d if pooling == "max" else nn.functional.avg_pool1d
    expected = model.dense(pool(h, 5).transpose(1, 2).flatten(1))
    torch.testing.assert_close(model(x), expected)


REDUCTIONS = {"max": np.max, "min": np.min, "sum": np.sum, "mean": np.mean, "median": np.median}


@settings(max_examples=20)
@given(st.integers(0, 2**31 - 1), st.sampled_from([99, 100]))
def test_reductions_agree_with_numpy(seed, bins):
    X = np.random.default_rng(seed).integers(0, 30, (6, bins, 5)).astype(np.uint16)
    for name, reduce in REDUCTIONS.items():
        found = Preprocessing(name, "log1p", False).features(torch.from_numpy(X))
        expected = np.log1p(reduce(X.astype(float), axis=1))
        np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-6)


def test_standardizing_by_training_genes_only():
    train = torch.rand(50, 100, 5) * torch.tensor([1.0, 2, 3, 4, 0])
    shift, scale = Preprocessing(None, "counts", True).fit([train])
    scaled = (train - shift) / scale
    torch.testing.assert_close(scaled[..., :4].std((0, 1)), torch.ones(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(scaled.mean((0, 1)), torch.zeros(5), atol=1e-5, rtol=0)
    assert (scaled[..., 4] == 0).all()  # a constant mark does not divide by zero
