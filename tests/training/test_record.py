"""Steps that are recorded do what the steps themselves do."""

import numpy as np
import pytest
import torch

from deepchrome import params
from deepchrome.training.fit import Job, fit
from deepchrome.training.record import Tapes
from training.test_fit import CELLS, CPU, LINEAR

ARCHITECTURES = {
    "linear": {},
    "fully_connected": {},
    "deepchrome": {"filters": 4, "width": 5, "pool": 5},
    "attentive": {"hidden": 4},
    "transformer": {},
}


def variant_of(architecture, **changes):
    reduced = {"reduce": "max" if architecture == "linear" else None}
    options = {"architecture": architecture, "options": ARCHITECTURES[architecture], "epochs": 2}
    return LINEAR.model_copy(update={**options, **reduced, "learning_rate": 0.003, **changes})


@pytest.fixture
def replayed(monkeypatch):
    """Record every step; tell how many jobs took part in those that are run again from a tape.

    By what is recorded: "_step" of a group of jobs, "score" of validation genes.
    """
    found = {"_step": [], "score": []}
    steps = Tapes.steps

    def counted(self, inputs):
        inputs, before = list(inputs), len(self._tapes)
        done = steps(self, inputs)
        if all(self._tapes.values()):
            n = len(inputs) - (len(self._tapes) - before)
            found[self._run.__name__] += [len(inputs[0][0])] * n
        return done

    monkeypatch.setattr(Tapes, "steps", counted)
    monkeypatch.setattr("deepchrome.training.fit.OFTEN", 1)
    monkeypatch.setattr("deepchrome.training.fit.SCORING_BATCH_CPU", 4)
    return found


def plainly(monkeypatch, *arguments):
    with monkeypatch.context() as patch:
        patch.setattr(Tapes, "steps", lambda self, inputs: [self._run(*one) for one in inputs])
        return fit(*arguments)


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.history == b.history
        for name, weight in a.weights.items():
            np.testing.assert_array_equal(weight, b.weights[name], name)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_alone(architecture, optimizer, replayed, monkeypatch):
    """To the last bit, dropout included."""
    variant = variant_of(architecture, optimizer=optimizer, weight_decay=0.1)
    given = [Job("A", 0)], CELLS, variant, CPU
    plain = plainly(monkeypatch, *given)
    assert replayed == {"_step": [], "score": []}
    assert_same(fit(*given), plain)
    if architecture == "attentive":
        # an LSTM keeps for its gradient what it does not keep without one, and vmap has no rule
        assert replayed == {"_step": [], "score": []}
        return
    assert replayed["_step"] == [1] * (2 * 4 - 1)
    valid = (CELLS["A"].split == "valid").sum()
    full = 0 if variant.reduce else -(-valid // 4) - 1  # batches, but for the last one
    assert replayed["score"] == [1] * max(2 * full - 1, 0)


@pytest.mark.parametrize("architecture", ["linear", "fully_connected", "deepchrome"])
def test_several_of_different_size_and_stop(architecture, replayed, monkeypatch):
    variant = variant_of(architecture, epochs=8, patience=2)
    given = [Job(cell, 0) for cell in CELLS], CELLS, variant, CPU
    plain = plainly(monkeypatch, *given)
    assert len({len(one.history) for one in plain}) > 1, "no early stop to test"
    assert_same(fit(*given), plain)
    assert len(set(replayed["_step"])) >= 2, "cell types of different size: as many recordings"
    if variant.reduce:  # all genes at a time
        assert not replayed["score"]
    else:
        assert len(set(replayed["score"])) >= 2, "also after a stop"


def taken(tapes, x):
    """Take one step."""
    return tapes.steps([(x,)])[0]


def test_a_step_that_looks_at_numbers_is_not_recorded():
    tapes = Tapes(lambda x: x * float(x.max()))
    for x in (torch.tensor([1.0, 2]), torch.tensor([3.0, 4])):
        assert taken(tapes, x).tolist() == (x * x.max()).tolist()


def test_what_is_held_is_changed_in_place():
    weight, buffer = torch.ones(3), torch.tensor([1.0, 2, 3])

    def step(x):
        weight[:2].add_((x * buffer)[:2])
        return x + weight

    tapes = Tapes(step)
    for i in range(3):
        x = torch.full((3,), float(i))
        expected = weight + torch.tensor([1.0, 1, 0]) * x * buffer
        assert taken(tapes, x).tolist() == (x + expected).tolist()
        assert weight.tolist() == expected.tolist()
    weight = torch.zeros(3)  # a tape knows nothing of another tensor, until it is forgotten
    taken(tapes, torch.ones(3))
    assert weight.tolist() == [0, 0, 0]
    tapes.forget()
    taken(tapes, torch.ones(3))
    assert weight.tolist() == [1, 2, 0]


def test_several_results_and_views_of_another_type():
    def step(x):
        high, low = x.sort(-1).values.split(2, -1)
        return torch.stack([high, low]).view(torch.int32).view(torch.float32).sum(0)

    tapes = Tapes(step)
    for x in torch.randn(3, 2, 4):
        torch.testing.assert_close(taken(tapes, x), step(x))


def test_inputs_that_lie_otherwise_in_memory():
    tapes = Tapes(lambda x: x.flatten().view(2, 3).T + x)
    for x in (torch.randn(3, 2), torch.randn(2, 3).T, torch.randn(3, 2)):
        assert taken(tapes, x).tolist() == (x.flatten().view(2, 3).T + x).tolist()


def test_numbers_that_nothing_uses_are_not_computed_but_still_drawn():
    def step(x):
        _ = x * 5
        torch.rand(2)
        return x + torch.rand(3)

    tapes = Tapes(step)
    torch.manual_seed(0)
    recorded = [taken(tapes, torch.ones(3)).tolist() for _ in range(3)]
    torch.manual_seed(0)
    assert recorded == [step(torch.ones(3)).tolist() for _ in range(3)]
    (function, _), *_ = tapes._tapes.values()
    called = [node.name for node in function.__self__.graph.nodes if node.op != "placeholder"]
    assert sum("rand" in name for name in called) == 2
    assert not any("mul" in name for name in called)


def test_every_architecture_is_tested():
    assert set(ARCHITECTURES) == {variant.architecture for variant in params.load().models.values()}
