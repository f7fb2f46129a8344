import re

import numpy as np
import pytest
import torch
import yaml

from conftest import ROOT
from deepchrome import params
from deepchrome.data.dataset import CellType, training_hash
from deepchrome.errors import DeepChromeError
from deepchrome.training.checkpoints import CODE, Checkpoints, job_key
from deepchrome.training.ensemble import Optimizer, can_batch, initial_weights
from deepchrome.training.fit import Job, _Examples, choose_device, fit, groups, learning_rates

CPU = torch.device("cpu")
LINEAR = params.ModelParams(
    architecture="linear",
    reduce="max",
    input="log1p",
    standardize=True,
    optimizer="adam",
    learning_rate=0.05,
    batch_size=16,
    epochs=6,
    patience=6,
)


def cell_type(cell, genes, seed=0):
    """Make a cell type whose last two marks rise with the label."""
    rng = np.random.default_rng([seed, sum(map(ord, cell))])
    y = rng.integers(0, 2, genes).astype(np.int8)
    rate = 2 + 3 * y[:, None, None] * np.array([0, 0, 0, 1, 1]) * rng.random((genes, 1, 1))
    X = rng.poisson(rate * np.ones((1, 100, 5))).astype(np.uint16)
    split = np.array(["train", "train", "valid", "test"], object)[np.arange(genes) % 4]
    return CellType(cell, np.array([f"g{i}" for i in range(genes)], object), X, y, split)


CELLS = {cell: cell_type(cell, n) for cell, n in (("A", 120), ("B", 60), ("C", 90))}


def by_job(trained):
    return {one.job: one for one in trained}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_alone_or_together_is_the_same_trajectory(optimizer):
    """Cell types of different size, with their own steps per epoch and early stops."""
    variant = LINEAR.model_copy(update={"optimizer": optimizer, "patience": 2, "epochs": 12})
    jobs = [Job(cell, seed) for cell in CELLS for seed in (0, 1)]
    together = by_job(fit(jobs, CELLS, variant, CPU))
    for job in jobs:
        alone = fit([job], CELLS, variant, CPU)[0]
        mine = together[job]
        assert mine.best_epoch == alone.best_epoch
        assert [row["epoch"] for row in mine.history] == [row["epoch"] for row in alone.history]
        for a, b in zip(mine.history, alone.history, strict=True):
            assert a == pytest.approx(b, rel=1e-5)
        for name, weight in mine.weights.items():
            np.testing.assert_allclose(weight, alone.weights[name], rtol=1e-4, atol=1e-6)
    assert len({len(one.history) for one in together.values()}) > 1, "no early stop to test"


def test_same_seed_same_numbers():
    job = Job("A", 3)
    first, second = (fit([job], CELLS, LINEAR, CPU)[0] for _ in range(2))
    assert first.history == second.history
    other = fit([Job("A", 4)], CELLS, LINEAR, CPU)[0]
    assert other.history != first.history


def test_test_genes_are_not_looked_at():
    changed = {}
    for name, cell in CELLS.items():
        X, y = cell.X.copy(), cell.y.copy()
        X[cell.split == "test"] = 60_000
        y[cell.split == "test"] = 1
        changed[name] = CellType(name, cell.gene_id, X, y, cell.split)
    for variant in (LINEAR, LINEAR.model_copy(update={"standardize": False})):
        before = fit([Job("A", 0)], CELLS, variant, CPU)[0]
        after = fit([Job("A", 0)], changed, variant, CPU)[0]
        assert before.history == after.history
        for name in before.weights:
            np.testing.assert_array_equal(before.weights[name], after.weights[name])


def test_keeps_the_best_epoch_and_stops():
    variant = LINEAR.model_copy(update={"epochs": 40, "patience": 3})
    one = fit([Job("B", 0)], CELLS, variant, CPU)[0]
    scores = [row["valid_auroc"] for row in one.history]
    assert one.valid_auroc == max(scores)
    assert one.best_epoch == scores.index(max(scores)) + 1
    assert len(scores) == min(one.best_epoch + 3, 40)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_optimizer_agrees_with_torch(optimizer):
    variant = LINEAR.model_copy(update={"optimizer": optimizer, "weight_decay": 0.1})
    start = torch.randn(3, 4, 2)
    ours = {"w": start.clone()}
    mine = Optimizer(ours, variant, np.array([3, 2, 1]))
    theirs = [start[k].clone().requires_grad_() for k in range(3)]
    rates = torch.tensor([0.1, 0.02, 0.003])
    reference = [
        torch.optim.AdamW([w], lr=float(r), weight_decay=0.1)
        if optimizer == "adam"
        else torch.optim.SGD([w], lr=float(r))
        for w, r in zip(theirs, rates, strict=True)
    ]
    for _ in range(8):
        gradient = torch.randn(3, 4, 2)
        mine.step({"w": gradient}, rates.to(mine.rate_type))
        for k in range(3):
            if optimizer == "sgd":  # torch's decay is in the gradient; decoupled here
                with torch.no_grad():
                    theirs[k].mul_(1 - float(rates[k]) * 0.1)
            theirs[k].grad = gradient[k].clone()
            reference[k].step()
    torch.testing.assert_close(ours["w"], torch.stack(theirs).detach(), rtol=1e-5, atol=1e-6)


def test_learning_rate_is_torchs_cosine_annealing():
    variant = LINEAR.model_copy(update={"epochs": 4, "learning_rate": 0.1})
    found = np.concatenate([learning_rates(variant, e, np.array([5]))[0] for e in range(1, 5)])
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=1e-6)
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_initial_weights_depend_on_cell_type_and_seed_alone():
    first = initial_weights(LINEAR, Job("A", 0).stream("weights"))
    torch.manual_seed(123)
    for name, weight in initial_weights(LINEAR, Job("A", 0).stream("weights")).items():
        torch.testing.assert_close(weight, first[name])
    for job in (Job("A", 1), Job("B", 0)):
        assert not torch.equal(
            initial_weights(LINEAR, job.stream("weights"))["layer.weight"], first["layer.weight"]
        )


def test_groups():
    jobs = [Job(f"E{i:03d}", 0) for i in range(5)]
    assert [len(g) for g in groups(jobs, 12, "auto", CPU)] == [5]
    assert [len(g) for g in groups(jobs, 644_177, "auto", CPU)] == [1] * 5
    assert [len(g) for g in groups(jobs, 644_177, 2, CPU)] == [2, 2, 1]
    assert [len(g) for g in groups(jobs, 644_177, "auto", torch.device("cuda"))] == [5]


def test_one_class_is_refused():
    cell = CELLS["A"]
    one = CellType("A", cell.gene_id, cell.X, np.ones_like(cell.y), cell.split)
    with pytest.raises(DeepChromeError, match="A: the train split has 60 genes, all of one class"):
        fit([Job("A", 0)], {"A": one}, LINEAR, CPU)


def test_divergence_is_named():
    variant = LINEAR.model_copy(
        update={"input": "counts", "standardize": False, "optimizer": "sgd", "learning_rate": 1e38}
    )
    with pytest.raises(DeepChromeError, match="training loss became"):
        fit([Job("A", 0)], CELLS, variant, CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu():
    with pytest.raises(DeepChromeError, match="no CUDA GPU"):
        choose_device("cuda")
    assert choose_device("auto").type == "cpu"


DROPPING = params.ModelParams(
    architecture="deepchrome",
    options={"filters": 4, "width": 5, "pool": 5},
    input="log1p",
    standardize=True,
    optimizer="adam",
    learning_rate=1e-3,
    batch_size=16,
    epochs=7,
    patience=2,
)


class InterruptedRunError(Exception):
    pass


@pytest.mark.parametrize("variant", [LINEAR.model_copy(update={"patience": 2}), DROPPING])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(variant, tmp_path, monkeypatch):
    """Same weights to the bit: dropout, early stops and cell types of different size included."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    jobs = [Job(cell, seed) for cell in CELLS for seed in (0, 1)]
    whole = fit(jobs, CELLS, variant, CPU)
    checkpoints = Checkpoints({job: f"{job.name}{job.seed}" for job in jobs}, seconds=0)
    computed = []

    def stop_twice(epoch):
        if epoch.genes_seen:
            computed.append(epoch.epoch)
        if epoch.genes_seen and len(computed) in (2, 4):
            raise InterruptedRunError

    for _ in range(2):
        with pytest.raises(InterruptedRunError):
            fit(jobs, CELLS, variant, CPU, stop_twice, checkpoints=checkpoints)
    again = fit(jobs, CELLS, variant, CPU, stop_twice, checkpoints=checkpoints)
    assert computed[:5] == [1, 2, 2, 3, 3], "it did not go on from the checkpoint"
    for a, b in zip(whole, again, strict=True):
        assert (a.job, a.best_epoch, a.history) == (b.job, b.best_epoch, b.history)
        for name, weight in a.weights.items():
            np.testing.assert_array_equal(weight, b.weights[name])
    fit(
        jobs,
        CELLS,
        variant,
        CPU,
        lambda epoch: computed.append(epoch.genes_seen),
        "float32",
        checkpoints,
    )
    assert computed[-1] == 0, "a finished group was trained again"
    checkpoints.clear()
    assert not list((tmp_path / ".cache/train").iterdir())


def test_a_damaged_checkpoint_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    jobs = [Job("A", 0)]
    checkpoints = Checkpoints({jobs[0]: "a"}, seconds=0)
    first = fit(jobs, CELLS, LINEAR, CPU, checkpoints=checkpoints)
    path = checkpoints.path(jobs)
    for content in (path.read_bytes()[:-100], b"", b"x" * 50):
        path.write_bytes(content)
        assert fit(jobs, CELLS, LINEAR, CPU, checkpoints=checkpoints)[0].history == first[0].history


def test_keys_tell_apart_what_would_train_differently():
    hashes = {cell: training_hash(CELLS[cell]) for cell in CELLS}
    assert len(set(hashes.values())) == 3
    job = Job("A", 0)
    key = job_key(job, hashes, LINEAR, "cpu", "float32", "code")
    assert key == job_key(job, hashes | {"B": "other"}, LINEAR, "cpu", "float32", "code")
    others = [
        job_key(Job("A", 1), hashes, LINEAR, "cpu", "float32", "code"),
        job_key(Job("A", 0, ("A", "B")), hashes, LINEAR, "cpu", "float32", "code"),
        job_key(Job("A", 0, examples=9), hashes, LINEAR, "cpu", "float32", "code"),
        job_key(job, hashes | {"A": "other"}, LINEAR, "cpu", "float32", "code"),
        job_key(job, hashes, LINEAR.model_copy(update={"epochs": 7}), "cpu", "float32", "code"),
        job_key(job, hashes, LINEAR, "cuda", "float32", "code"),
        job_key(job, hashes, LINEAR, "cpu", "bfloat16", "code"),
        job_key(job, hashes, LINEAR, "cpu", "float32", "other"),
    ]
    assert len({key, *others}) == 9
    cell = CELLS["A"]
    test_only = cell.X.copy()
    test_only[cell.split == "test"] += 1
    changed = CellType("A", cell.gene_id, test_only, cell.y, cell.split)
    assert training_hash(changed) == hashes["A"], "test genes are no part of training"


def test_a_job_of_several_cell_types_sees_their_genes():
    """The pooled job is the job of one cell type that holds the genes of both."""
    parts = [CELLS["A"], CELLS["B"]]
    joined = CellType(
        "AB",
        np.concatenate([part.gene_id for part in parts]),
        np.concatenate([part.X for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.split for part in parts]),
    )
    pooled = fit([Job("AB", 0, ("A", "B")), Job("A", 0)], CELLS, LINEAR, CPU)[0]
    one = fit([Job("AB", 0)], {"AB": joined}, LINEAR, CPU)[0]
    assert pooled.best_epoch == one.best_epoch
    np.testing.assert_allclose(pooled.scale, one.scale, rtol=1e-5)
    np.testing.assert_allclose(
        [row["train_loss"] for row in pooled.history],
        [row["train_loss"] for row in one.history],
        rtol=1e-5,
    )


def test_examples_bound_what_a_job_sees():
    seen = []
    few = Job("A", 0, ("A", "B"), examples=25)
    fit([few], CELLS, LINEAR, CPU, lambda epoch: seen.append(epoch.genes_seen))
    assert set(seen) == {25}
    rows = _Examples(CELLS, LINEAR, CPU)
    chosen = rows.of(few, "train")
    assert len(set(chosen)) == 25
    assert set(chosen) <= set(rows.of(Job("x", 0, ("A", "B")), "train"))
    np.testing.assert_array_equal(chosen, rows.of(few, "train"))


class Recurrent(torch.nn.Module):
    def __init__(self, bins, marks):
        super().__init__()
        self.lstm = torch.nn.LSTM(marks, 4, batch_first=True)
        self.out = torch.nn.Linear(4, 1)

    def forward(self, x):
        return self.out(self.lstm(x)[0][:, -1])


@pytest.mark.parametrize("stage", ["train", "training_sets"])
def test_a_change_of_what_trains_runs_the_stage_again(stage):
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["deps"]
    assert {f"src/deepchrome/{name}" for name in CODE} <= set(deps)
    for name in ("training.py", "stacked.py", "recorded.py"):
        text = (ROOT / "src/deepchrome" / name).read_text(encoding="utf-8")
        imported = set(re.findall(r"^from deepchrome\.(\w+)", text, re.MULTILINE))
        # these change no number: they load, store, refuse and share out the work
        others = imported - {"checkpoints", "dataset", "errors", "machine", "params"}
        assert others <= {part.removesuffix(".py") for part in CODE}


def test_operators_without_a_batching_rule(monkeypatch):
    """An LSTM trains one network at a time, with the same result as alone."""
    variant = DROPPING.model_copy(update={"options": {}, "epochs": 2})
    assert can_batch(DROPPING)
    monkeypatch.setattr(
        "deepchrome.training.ensemble.build", lambda name, bins, marks, _: Recurrent(bins, marks)
    )
    assert not can_batch(variant)
    jobs = [Job("A", 0), Job("B", 0)]
    together = fit(jobs, CELLS, variant, CPU)
    for one in together:
        alone = fit([one.job], CELLS, variant, CPU)[0]
        for name, weight in one.weights.items():
            np.testing.assert_allclose(weight, alone.weights[name], rtol=1e-4, atol=1e-6)


def test_bfloat16_is_coarser_and_close():
    exact = fit([Job("A", 0)], CELLS, DROPPING, CPU)[0]
    coarse = fit([Job("A", 0)], CELLS, DROPPING, CPU, precision="bfloat16")[0]
    a, b = exact.history[0]["train_loss"], coarse.history[0]["train_loss"]
    assert a != b
    assert a == pytest.approx(b, rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("variant", [LINEAR, DROPPING.model_copy(update={"epochs": 4})])
def test_a_gpu_follows_the_same_trajectory(variant, optimizer):
    """Recorded steps included; cell types of different size, with early stops."""
    still = {} if variant is LINEAR else {"options": variant.options | {"dropout": 0.0}}
    variant = variant.model_copy(update={"optimizer": optimizer, "patience": 2, **still})
    jobs = [Job(cell, seed) for cell in CELLS for seed in (0, 1)]
    gpu, cpu = (fit(jobs, CELLS, variant, torch.device(name)) for name in ("cuda", "cpu"))
    for a, b in zip(gpu, cpu, strict=True):
        assert len(a.history) == len(b.history)
        for mine, other in zip(a.history, b.history, strict=True):
            assert mine == pytest.approx(other, rel=1e-3)
