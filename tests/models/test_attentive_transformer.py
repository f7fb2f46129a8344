"""AttentiveChrome and TransformChrome against references written out in other operators."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from deepchrome import models
from deepchrome.errors import DeepChromeError


@pytest.fixture
def x():
    """Inputs like standardized log counts, shape=(genes, bins, marks)."""
    return torch.randn(6, 100, 5, generator=torch.Generator().manual_seed(1))


def build(name, bins=100, **options):
    torch.manual_seed(0)
    model = models.build(name, bins, 5, options).eval()
    with torch.no_grad():  # no bias or norm at its initial 0 or 1, where mistakes do not show
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).uniform_(-0.05, 0.05))
    return model


@pytest.mark.parametrize(("name", "count"), [("attentive", 55_681), ("transformer", 674_057)])
def test_parameters_as_published(name, count):
    model = models.build(name, 100, 5, {})
    assert models.n_parameters(model) == count
    assert model(torch.rand(3, 100, 5)).shape == (3, 1)


# AttentiveChrome


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_direction(weights, suffix, x):
    """One direction of an LSTM, step by step: Hochreiter and Schmidhuber's equations."""
    w, u, b, c = (
        weights[f"lstm.{kind}_l0{suffix}"]
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden = u.shape[1]
    state, memory, outputs = np.zeros(hidden), np.zeros(hidden), []
    for step in x[::-1] if suffix else x:
        gates = (w @ step + b + u @ state + c).reshape(4, hidden)
        memory = sigmoid(gates[1]) * memory + sigmoid(gates[0]) * np.tanh(gates[2])
        state = sigmoid(gates[3]) * np.tanh(memory)
        outputs.append(state)
    return np.array(outputs[::-1] if suffix else outputs)


def encode(weights, x):
    """Both directions of one gene and the attention to each step. x: shape=(steps, inputs)."""
    both = [lstm_direction(weights, suffix, x) for suffix in ("", "_reverse")]
    outputs = np.concatenate(both, axis=1)
    exponentials = [math.exp(weights["context"] @ output) for output in outputs]
    attention = np.array(exponentials) / sum(exponentials)
    return sum(a * output for a, output in zip(attention, outputs, strict=True)), attention


def part(model, prefix):
    """The weights of one part of a model, by their names inside it."""
    return {
        name.removeprefix(prefix): value.double().numpy()
        for name, value in model.state_dict().items()
        if name.startswith(prefix)
    }


def test_attentive_is_two_levels_of_lstm_and_attention(x):
    model = build("attentive")
    with torch.no_grad():
        logits, (bin_attention, mark_attention) = model(x), model.attention(x)
    output = part(model, "output.")
    for gene in range(2):
        means = []
        for mark in range(5):
            signal = x[gene, :, mark : mark + 1].double().numpy()
            mean, attention = encode(part(model, f"bins.{mark}."), signal)
            np.testing.assert_allclose(bin_attention[gene, mark], attention, rtol=1e-4)
            means.append(mean)
        mean, attention = encode(part(model, "marks."), np.array(means))
        np.testing.assert_allclose(mark_attention[gene], attention, rtol=1e-4)
        expected = output["weight"] @ mean + output["bias"]
        np.testing.assert_allclose(logits[gene], expected, rtol=1e-4)


def test_attention_is_a_distribution(x):
    bin_attention, mark_attention = build("attentive", bins=40, hidden=8).attention(x[:, :40])
    assert bin_attention.shape == (6, 5, 40)
    assert mark_attention.shape == (6, 5)
    for attention in (bin_attention, mark_attention):
        assert (attention > 0).all()
        torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))


def test_attentive_with_other_weights(x):
    """The engine calls one module with the weights of many: an LSTM must not keep its own."""
    base, other = build("attentive", bins=20), models.build("attentive", 20, 5, {})
    weights = {name: value.detach().requires_grad_() for name, value in other.named_parameters()}
    found, expected = functional_call(base, weights, (x[:, :20],)), other(x[:, :20])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert not torch.equal(expected, base(x[:, :20]))
    found = torch.autograd.grad(found.sum(), list(weights.values()))
    expected = torch.autograd.grad(expected.sum(), list(other.parameters()))
    torch.testing.assert_close(found, expected)


# TransformChrome


def published(model, dropout=0.0):
    """TransformChrome of nn.TransformerEncoderLayer, with the weights of ours."""
    layer = nn.TransformerEncoderLayer(64, 8, 128, dropout, batch_first=True)
    pairs = {
        layer.self_attn.out_proj: model.attention.output,
        layer.linear1: model.feed_forward[0],
        layer.linear2: model.feed_forward[3],
        layer.norm1: model.norm_attention,
        layer.norm2: model.norm_feed_forward,
    }
    for theirs, ours in pairs.items():
        theirs.load_state_dict(ours.state_dict())
    layer.self_attn.in_proj_weight.data = model.attention.inputs.weight.data
    layer.self_attn.in_proj_bias.data = model.attention.inputs.bias.data
    encoding = torch.tensor(
        [
            [(math.cos if i % 2 else math.sin)(b / 10_000 ** (i // 2 * 2 / 64)) for i in range(64)]
            for b in range(100)
        ]
    )

    def forward(x):
        drop = nn.Dropout(dropout)
        h = drop(nn.functional.linear(x, *model.embedding.parameters()) * 10 + encoding)
        h = drop(layer(h).flatten(1))
        h = drop(nn.functional.linear(h, *model.dense[1].parameters()).relu())
        return nn.functional.linear(h, *model.dense[4].parameters())

    return layer, forward


def test_transformer_is_the_encoder_layer_of_pytorch(x):
    model = build("transformer")
    layer, reference = published(model)
    layer.eval()
    torch.testing.assert_close(model(x), reference(x), rtol=1e-4, atol=1e-5)
    with torch.no_grad():  # here nn.TransformerEncoderLayer takes its fast path
        torch.testing.assert_close(model(x), reference(x), rtol=1e-4, atol=1e-5)


def test_transformer_drops_where_the_authors_do(x, monkeypatch):
    """With one fixed mask for each shape, training outputs agree: each dropout is in its place."""

    def dropout(a, p, training=True, inplace=False):
        kept = torch.arange(a.numel()).view(a.shape) * 37 % 101 >= 101 * p
        return a * kept / (1 - p) if training else a

    def attend(query, key, value, mask, p, causal):
        scores = query @ key.mT / query.shape[-1] ** 0.5
        return dropout(scores.softmax(-1), p) @ value

    monkeypatch.setattr(nn.functional, "dropout", dropout)
    monkeypatch.setattr(
        models.Dropout, "forward", lambda self, a: dropout(a, self.p, self.training)
    )
    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", attend)
    model = build("transformer", dropout=0.3).train()
    _, reference = published(model, dropout=0.3)  # in training mode
    torch.testing.assert_close(model(x), reference(x), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(x), model.eval()(x))


def test_gradients_in_evaluation_mode(x):
    """Attributions need them."""
    model = build("transformer")
    layer, reference = published(model)
    layer.eval()
    x.requires_grad_()
    found = torch.autograd.grad(model(x).sum(), [x, *model.parameters()])
    (expected,) = torch.autograd.grad(reference(x).sum(), [x])
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-4)
    assert all((gradient != 0).any() for gradient in found)


@pytest.fixture
def stacked():
    """Three small networks, their weights stacked, and inputs of each."""
    networks = [
        models.build("transformer", 12, 5, {"width": 16, "heads": 4, "feed_forward": 8})
        for _ in range(3)
    ]
    weights, _ = stack_module_state(networks)
    return networks, weights, torch.randn(3, 6, 12, 5)


def loss(base, weights, x):
    return functional_call(base, weights, (x,)).square().sum()


def test_vmap_in_evaluation_mode(stacked):
    networks, weights, x = stacked
    for network in networks:
        network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an operator without a batching rule warns
        found = vmap(lambda w, x: functional_call(networks[0], w, (x,)))(weights, x)
        gradients = vmap(lambda w, x: grad(lambda w: loss(networks[0], w, x))(w))(weights, x)
    for i, network in enumerate(networks):
        torch.testing.assert_close(found[i], network(x[i]))
        loss(network, dict(network.named_parameters()), x[i]).backward()
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(gradients[name][i], parameter.grad, rtol=1e-4, atol=1e-5)


def test_vmap_in_training_mode_draws_masks_for_each(stacked):
    networks, weights, x = stacked
    base = networks[0].train()
    same = {name: weight[:1].expand_as(weight) for name, weight in weights.items()}
    x = x[:1].expand_as(x)
    keys = {
        f"{name}.key": torch.arange(3, dtype=torch.int32)
        for name, module in base.named_modules()
        if isinstance(module, models.Dropout)
    }
    same, weights = same | keys, weights | keys
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batched = vmap(lambda w, x: functional_call(base, w, (x,)))
        found = batched(same, x)
        leaves = [weight for weight in weights.values() if weight.requires_grad]
        gradients = torch.autograd.grad(batched(weights, x).sum(), leaves)
    assert found.shape == (3, 6, 1)
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[1], found[2])
    assert all((gradient != 0).any() for gradient in gradients)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("attentive", {"hidden": 1}, "hidden"),
        ("attentive", {"layers": 2}, "layers"),
        ("transformer", {"width": 60}, "width 60"),
        ("transformer", {"heads": 0}, "0 heads"),
        ("transformer", {"dropout": 1.5}, "dropout"),
    ],
)
def test_bad_options_are_named(name, options, says):
    with pytest.raises(DeepChromeError, match=says):
        models.build(name, 100, 5, options)
