"""Steps that are recorded do what the steps themselves do."""

import numpy as np
import pytest
import torch

from deepchrome import params
from deepchrome.training.ensemble import Ensemble
from deepchrome.training.examples import Batches
from deepchrome.training.fit import fit, step
from deepchrome.training.jobs import Job
from deepchrome.training.objective import HIGH
from deepchrome.training.optimizer import Optimizer
from deepchrome.training.record import CudaGraph, Recording
from deepchrome.training.tape import Tape, _Recorder
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


class FixedMemory:
    """Records as CUDA graphs do, without a GPU: inputs and result lie at fixed places."""

    warming = CudaGraph.warming

    def plain(self, step, inputs):
        return step(*inputs)

    def record(self, step, inputs):
        places, result = [tensor.clone() for tensor in inputs], None

        def replay(*inputs):
            nonlocal result
            for place, tensor in zip(places, inputs, strict=True):
                place.copy_(tensor)
            done = step(*places)
            result = done.clone() if result is None else result.copy_(done)
            return result.clone()

        return replay(*inputs), replay


@pytest.fixture(params=[Tape, FixedMemory])
def replayed(request, monkeypatch):
    """Record every step; tell of how many jobs those are that are run again from a recording.

    By what is recorded: "step_on" of a group of jobs, "score" of validation genes.
    """
    found = {"step_on": [], "score": []}

    class Counted(request.param):
        def record(self, step, inputs):
            result, replay = super().record(step, inputs)

            def counted(*inputs):
                found[step.__name__].append(len(inputs[0]))
                return replay(*inputs)

            return result, counted if replay else None

    found["warming"] = request.param.warming
    monkeypatch.setattr("deepchrome.training.fit.Tape", Counted)
    monkeypatch.setattr("deepchrome.training.fit.OFTEN", 1)
    monkeypatch.setattr("deepchrome.training.fit.SCORING_BATCH_CPU", 4)
    return found


def plainly(*arguments):
    return fit(*arguments, record="off")


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.history == b.history
        for name, weight in a.weights.items():
            np.testing.assert_array_equal(weight, b.weights[name], name)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_alone(architecture, optimizer, replayed):
    """To the last bit, dropout included."""
    variant = variant_of(architecture, optimizer=optimizer, weight_decay=0.1)
    given = [Job("A", 0)], CELLS, variant, CPU
    plain = plainly(*given)
    assert not replayed["step_on"]
    assert not replayed["score"]
    assert_same(fit(*given), plain)
    if architecture == "attentive":
        # an LSTM keeps for its gradient what it does not keep without one, and vmap has no rule
        assert not replayed["step_on"]
        assert not replayed["score"]
        return
    plain_first = 1 + replayed["warming"]
    assert replayed["step_on"] == [1] * (2 * 4 - plain_first)
    valid = (CELLS["A"].split == "valid").sum()
    full = 0 if variant.reduce else -(-valid // 4) - 1  # batches, but for the last one
    assert replayed["score"] == [1] * max(2 * full - plain_first, 0)


@pytest.mark.parametrize("architecture", ["linear", "fully_connected", "deepchrome"])
def test_several_of_different_size_and_stop(architecture, replayed):
    patience = 2 if architecture == "fully_connected" else 5  # 4 million parameters
    variant = variant_of(architecture, epochs=60, patience=patience, learning_rate=0.01)
    jobs = [Job(cell, seed) for cell in ("A", "D") for seed in (0, 1, 2)]
    given = jobs, CELLS, variant, CPU
    plain = plainly(*given)
    assert len({len(one.history) for one in plain}) > 1, "no early stop to test"
    assert_same(fit(*given), plain)
    recorded = set(replayed["step_on"])
    # where few steps are left after a compaction, they are still warming up
    assert len(recorded) >= 2 - bool(replayed["warming"]), (
        "as many recordings as there were compactions"
    )
    assert all(n == 6 or n <= 3 for n in recorded), "compacted too early"
    if variant.reduce:  # all genes at a time
        assert not replayed["score"]
    else:
        assert len(set(replayed["score"])) >= 2 - bool(replayed["warming"]), "also after a stop"


@pytest.fixture
def meta_optimizers():
    """torch has no fused optimizer on the meta device; they return nothing and ask nothing."""
    with torch.library._scoped_library("aten", "IMPL", "Meta") as library:
        for name in ("_fused_adamw_.tensor_lr", "_fused_sgd_.tensor_lr"):
            library.impl(name, lambda *given, **named: None)
        yield


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("architecture", ["linear", "fully_connected", "deepchrome", "transformer"])
def test_a_step_asks_no_number_back(architecture, optimizer, meta_optimizers):
    """On the meta device tensors have no numbers: what waits for one (on a GPU, too) fails."""
    variant = variant_of(architecture, optimizer=optimizer)
    jobs, meta = [Job("A", 0), Job("D", 0)], torch.device("meta")
    batches = Batches(jobs, CELLS, variant, CPU)
    examples = batches.draw()[0].to(meta)
    for part in (batches, batches.examples):
        for name, value in vars(part).items():
            if isinstance(value, torch.Tensor):
                setattr(part, name, value.to(meta))
    ensemble = Ensemble(variant, jobs, meta)
    y, rate = batches.examples.labels(examples), torch.zeros((), device=meta)
    x = batches.inputs(examples)
    outputs = step(ensemble, Optimizer(ensemble, variant), HIGH, x, y, batches.weight[0], rate)
    assert (outputs.shape, outputs.device) == ((2, 16), meta)


def test_a_recording_that_differs_is_not_used(capsys):
    """The first replay is checked, result and state; the step itself counts."""

    class Wrong(Tape):
        def record(self, step, inputs):
            result, _ = super().record(step, inputs)
            return result, lambda x: total.add_(1) + x * 0

    total = torch.zeros(1)

    def step(x):
        return total.add_(x) + 0

    recording = Recording(step, Wrong(), lambda: [total])
    found = [recording(torch.full((1,), float(i))).tolist() for i in range(1, 5)]
    assert found == [[1], [3], [6], [10]]
    assert capsys.readouterr().out.count("a recorded step differs") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("architecture", ["linear", "fully_connected", "deepchrome", "transformer"])
def test_cuda_graphs_do_what_the_steps_do(architecture, optimizer, monkeypatch):
    """Every step recorded, nothing waits for the GPU within one, weights as without recordings."""
    monkeypatch.setattr("deepchrome.training.fit.OFTEN", 1)
    replays = []

    class Watched(CudaGraph):
        def record(self, step, inputs):
            result, replay = super().record(step, inputs)

            def watched(*inputs):
                replays.append(1)
                if len(replays) < 3:  # the first one is compared with the step, which waits
                    return replay(*inputs)
                torch.cuda.set_sync_debug_mode("error")
                try:
                    return replay(*inputs)
                finally:
                    torch.cuda.set_sync_debug_mode("default")

            return result, watched

    variant = variant_of(architecture, optimizer=optimizer, epochs=6, patience=2)
    given = [Job(c, s) for c in ("A", "D") for s in (0, 1)], CELLS, variant, torch.device("cuda")
    plain = plainly(*given)
    monkeypatch.setattr("deepchrome.training.fit.CudaGraph", Watched)
    assert_same(fit(*given), plain)
    assert len(replays) > 5


def test_a_step_that_looks_at_numbers_is_not_recorded():
    tape = Recording(lambda x: x * float(x.max()), Tape())
    for x in (torch.tensor([1.0, 2]), torch.tensor([3.0, 4])):
        assert tape(x).tolist() == (x * x.max()).tolist()


def test_what_is_held_is_changed_in_place():
    weight, buffer = torch.ones(3), torch.tensor([1.0, 2, 3])

    def step(x):
        weight[:2].add_((x * buffer)[:2])
        return x + weight

    tape = Recording(step, Tape(), lambda: [weight])
    for i in range(3):
        x = torch.full((3,), float(i))
        expected = weight + torch.tensor([1.0, 1, 0]) * x * buffer
        assert tape(x).tolist() == (x + expected).tolist()
        assert weight.tolist() == expected.tolist()
    weight = torch.zeros(3)  # a tape knows nothing of another tensor, until it is forgotten
    tape(torch.ones(3))
    assert weight.tolist() == [0, 0, 0]
    tape.forget()
    tape(torch.ones(3))
    assert weight.tolist() == [1, 2, 0]


def test_several_results_and_views_of_another_type():
    def step(x):
        high, low = x.sort(-1).values.split(2, -1)
        return torch.stack([high, low]).view(torch.int32).view(torch.float32).sum(0)

    tape = Recording(step, Tape())
    for x in torch.randn(3, 2, 4):
        torch.testing.assert_close(tape(x), step(x))


def test_inputs_that_lie_otherwise_in_memory():
    tape = Recording(lambda x: x.flatten().view(2, 3).T + x, Tape())
    for x in (torch.randn(3, 2), torch.randn(2, 3).T, torch.randn(3, 2)):
        assert tape(x).tolist() == (x.flatten().view(2, 3).T + x).tolist()


def test_numbers_that_nothing_uses_are_not_computed_but_still_drawn():
    def step(x):
        _ = x * 5
        torch.rand(2)
        return x + torch.rand(3)

    torch.manual_seed(0)
    first, replay = Tape().record(step, (torch.ones(3),))
    recorded = [first.tolist(), *(replay(torch.ones(3)).tolist() for _ in range(2))]
    torch.manual_seed(0)
    assert recorded == [step(torch.ones(3)).tolist() for _ in range(3)]
    with _Recorder((torch.ones(3),)) as recorder:
        result = step(torch.ones(3))
    nodes = recorder.end(result).__self__.graph.nodes
    called = [node.name for node in nodes if node.op != "placeholder"]
    assert sum("rand" in name for name in called) == 2
    assert not any("mul" in name for name in called)


def test_every_architecture_is_tested():
    assert set(ARCHITECTURES) == {variant.architecture for variant in params.load().models.values()}
