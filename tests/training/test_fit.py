import os
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import ROOT
from deepchrome import params
from deepchrome.data.dataset import CellType, training_hash
from deepchrome.errors import DeepChromeError
from deepchrome.training.checkpoints import Checkpoints
from deepchrome.training.ensemble import Ensemble
from deepchrome.training.examples import Examples
from deepchrome.training.fit import SCORING_NUMBERS, fit, genes_at_once
from deepchrome.training.groups import groups
from deepchrome.training.jobs import Job, choose_device
from deepchrome.training.keys import CODE, job_key
from deepchrome.training.network import can_batch, initial_weights, largest_activation
from deepchrome.training.optimizer import Optimizer, learning_rates

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


# A and D take as many steps an epoch, on different numbers of genes; the others fewer
CELLS = {cell: cell_type(cell, n) for cell, n in (("A", 120), ("B", 60), ("C", 90), ("D", 108))}


def fit_all(jobs, cells, variant, *arguments, **keywords):
    """Train groups of jobs of as many steps an epoch, as `groups.train` does."""
    sizes = {name: int((cell.split == "train").sum()) for name, cell in cells.items()}
    steps = {job: -(-job.training_genes(sizes) // variant.batch_size) for job in jobs}
    alike = groups(steps, 12, 100, CPU)
    found = by_job(
        [o for group in alike for o in fit(group, cells, variant, *arguments, **keywords)]
    )
    return [found[job] for job in jobs]


def by_job(trained):
    return {one.job: one for one in trained}


def same_trajectory(mine, alone):
    assert mine.best_epoch == alone.best_epoch
    assert [row["epoch"] for row in mine.history] == [row["epoch"] for row in alone.history]
    for a, b in zip(mine.history, alone.history, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    for name, weight in mine.weights.items():
        np.testing.assert_allclose(weight, alone.weights[name], rtol=1e-4, atol=1e-6)


def test_alone_or_together_is_the_same_trajectory_with_dropout():
    """What a network forgets follows from its job, not from its company."""
    jobs = [Job(cell, seed) for cell in ("A", "D") for seed in (0, 1)]
    variant = DROPPING.model_copy(update={"epochs": 3})
    for mine, job in zip(fit(jobs, CELLS, variant, CPU), jobs, strict=True):
        same_trajectory(mine, fit([job], CELLS, variant, CPU)[0])
    still = DROPPING.model_copy(update={"options": DROPPING.options | {"dropout": 0.0}})
    one, other = (fit(jobs[:1], CELLS, v, CPU)[0].history[0] for v in (variant, still))
    assert one["train_loss"] != other["train_loss"], "nothing was dropped"


def test_jobs_of_different_steps_are_no_group():
    with pytest.raises(ValueError, match=r"found jobs of \[2, 4\] steps"):
        fit([Job("A", 0), Job("B", 0)], CELLS, LINEAR, CPU)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_alone_or_together_is_the_same_trajectory(optimizer):
    """Cell types of different size, with their own steps per epoch and early stops."""
    variant = LINEAR.model_copy(update={"optimizer": optimizer, "patience": 2, "epochs": 12})
    jobs = [Job(cell, seed) for cell in CELLS for seed in (0, 1)]
    together = by_job(fit_all(jobs, CELLS, variant, CPU))
    for job in jobs:
        alone = fit([job], CELLS, variant, CPU)[0]
        same_trajectory(together[job], alone)
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
@pytest.mark.parametrize("jobs", [[Job("A", 0)], [Job("A", 0), Job("B", 0), Job("C", 0)]])
def test_optimizer_agrees_with_torch(optimizer, jobs):
    variant = LINEAR.model_copy(update={"optimizer": optimizer, "weight_decay": 0.1})
    ensemble = Ensemble(variant, jobs, CPU)
    mine = Optimizer(ensemble, variant)
    theirs = [
        [weight[k].clone().requires_grad_() for weight in ensemble.weights.values()]
        for k in range(len(jobs))
    ]
    kind = torch.optim.AdamW if optimizer == "adam" else torch.optim.SGD
    reference = [kind(weights, lr=1.0, weight_decay=0.1) for weights in theirs]
    for rate in (0.1, 0.05, 0.02, 0.003):
        leaves = ensemble.leaves()
        gradients = {name: torch.randn_like(leaf) for name, leaf in leaves.items()}
        mine.step(leaves, list(gradients.values()), torch.tensor(rate, dtype=mine.rate_type))
        for k, (weights, one) in enumerate(zip(theirs, reference, strict=True)):
            for weight, gradient in zip(weights, gradients.values(), strict=True):
                weight.grad = (gradient[k] if len(jobs) > 1 else gradient).clone()
            one.param_groups[0]["lr"] = rate
            one.step()
    for i, weight in enumerate(ensemble.weights.values()):
        expected = torch.stack([weights[i] for weights in theirs]).detach()
        torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)


def test_learning_rate_is_torchs_cosine_annealing():
    variant = LINEAR.model_copy(update={"epochs": 4, "learning_rate": 0.1})
    found = np.concatenate([learning_rates(variant, e, 5) for e in range(1, 5)])
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
    jobs = {Job(f"E{i:03d}", 0): 7 for i in range(5)}
    assert [len(g) for g in groups(jobs, 12, "auto", CPU)] == [5]
    assert [len(g) for g in groups(jobs, 644_177, "auto", CPU)] == [1] * 5
    assert [len(g) for g in groups(jobs, 644_177, 2, CPU)] == [2, 2, 1]
    assert [len(g) for g in groups(jobs, 644_177, "auto", torch.device("cuda"))] == [5]
    mixed = {job: 7 + i % 2 for i, job in enumerate(jobs)}
    assert [[mixed[job] for job in group] for group in groups(mixed, 12, "auto", CPU)] == [
        [7, 7, 7],
        [8, 8],
    ]


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


def test_an_overflow_in_the_last_step_is_named():
    """The loss is computed before the update that overflows: the scores after it tell."""
    few = CELLS["A"].gene_id[np.flatnonzero(CELLS["A"].split == "train")[:16]]
    kept = (CELLS["A"].split != "train") | np.isin(CELLS["A"].gene_id, few)
    cell = CellType(
        "A",
        *(part[kept] for part in (CELLS["A"].gene_id, CELLS["A"].X)),
        CELLS["A"].y[kept],
        CELLS["A"].split[kept],
    )
    variant = LINEAR.model_copy(
        update={
            "input": "counts",
            "standardize": False,
            "optimizer": "sgd",
            "learning_rate": 1e38,
            "epochs": 1,
        }
    )
    with pytest.raises(DeepChromeError, match="A, seed 0: a score became no number in epoch 1"):
        fit([Job("A", 0)], {"A": cell}, variant, CPU)


def test_a_job_that_has_stopped_is_not_heeded_any_more():
    """Jobs that stop early train on until half of a group have stopped."""
    variant = LINEAR.model_copy(update={"patience": 2, "epochs": 12})
    jobs = [Job("A", seed) for seed in range(5)]
    seen = []
    networks = fit(jobs, CELLS, variant, CPU, lambda epoch: seen.append(epoch))
    for one in networks:
        assert len(one.history) == min(one.best_epoch + 2, 12)
    assert len({len(one.history) for one in networks}) > 1, "no early stop to test"
    for epoch in seen:
        still = [one.job for one in networks if len(one.history) >= epoch.epoch]
        assert epoch.jobs == still
        assert epoch.genes_seen == 60 * len(still)


class Normed(torch.nn.Module):
    def __init__(self, bins, marks, **options):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(bins, **options)
        self.out = torch.nn.Linear(bins * marks, 1)

    def forward(self, x):
        return self.out(self.norm(x).flatten(1))


class Noisy(torch.nn.Linear):
    def __init__(self, bins, marks):
        super().__init__(bins * marks, 1)

    def forward(self, x):
        x = x.flatten(1)
        return super().forward(x + torch.randn_like(x) if self.training else x)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (Normed, "it keeps norm.num_batches_tracked, norm.running_mean, norm.running_var"),
        (partial(Normed, track_running_stats=False), "depends on the other genes"),
        (Noisy, "draws random numbers other than by nn.Dropout"),
    ],
)
def test_networks_that_cannot_be_trained_together_are_refused(made, says, monkeypatch):
    build = lambda name, bins, marks, _: made(bins, marks)  # noqa: E731
    monkeypatch.setattr("deepchrome.training.network.build", build)
    with pytest.raises(DeepChromeError, match=f"architecture linear: .*{says}"):
        can_batch(LINEAR)


def test_scoring_is_bounded_by_memory():
    """What all networks make of the genes at once stays within SCORING_NUMBERS numbers."""
    transformer = LINEAR.model_copy(
        update={"architecture": "transformer", "reduce": None, "options": {}}
    )
    assert largest_activation(transformer) == 8 * 100 * 100  # attention of each bin to all
    gpu = torch.device("cuda")
    genes = genes_at_once(56 * 80_000, gpu)
    assert genes * 56 * 80_000 <= SCORING_NUMBERS < (genes + 1) * 56 * 80_000
    assert genes_at_once(10_000 * 80_000, CPU) == 1
    assert genes_at_once(80_000, CPU) == 128
    assert genes_at_once(28 * 5, CPU) > 100_000, "linear: all genes at a time"


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
    jobs = [job for job in jobs if job.name in ("A", "D")]
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
    # other jobs first: a checkpoint knows its networks by name
    other = fit(jobs[::-1], CELLS, variant, CPU, stop_twice, checkpoints=checkpoints)
    again = other[::-1]
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
    for name in ("fresh", "given_up"):
        (tmp_path / ".cache/train" / name).mkdir()
        (tmp_path / ".cache/train" / name / "x.safetensors").write_bytes(b"x")
    for path in ("given_up/x.safetensors", "given_up"):
        os.utime(tmp_path / ".cache/train" / path, (0, 0))
    checkpoints.clear()  # those of another run that may go on are kept
    assert [path.name for path in (tmp_path / ".cache/train").iterdir()] == ["fresh"]


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
    assert len(set(hashes.values())) == len(CELLS)
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
    pooled = fit([Job("AB", 0, ("A", "B")), Job("AB", 1, ("A", "B"))], CELLS, LINEAR, CPU)[0]
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
    rows = Examples(CELLS, LINEAR, CPU)
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


def test_checkpoints_depend_on_all_that_trains():
    """These load, store, refuse, share out and show the work, and change no number."""
    others = {"checkpoints", "executor", "groups"}
    for name in CODE[:-1]:
        text = (ROOT / "src/deepchrome" / name).read_text(encoding="utf-8")
        imported = set(re.findall(r"^from deepchrome\.training\.(\w+)", text, re.MULTILINE))
        assert imported - others <= {Path(part).stem for part in CODE}


def test_operators_without_a_batching_rule(monkeypatch):
    """An LSTM trains one network at a time, with the same result as alone."""
    variant = DROPPING.model_copy(update={"options": {}, "epochs": 2})
    assert can_batch(DROPPING)
    monkeypatch.setattr(
        "deepchrome.training.network.build", lambda name, bins, marks, _: Recurrent(bins, marks)
    )
    assert not can_batch(variant)
    together = fit([Job("A", 0), Job("D", 0)], CELLS, variant, CPU)
    for one in together:
        alone = fit([one.job], CELLS, variant, CPU)[0]
        for name, weight in one.weights.items():
            np.testing.assert_allclose(weight, alone.weights[name], rtol=1e-4, atol=1e-6)


def test_bfloat16_is_coarser_and_close():
    """Its 8 bits of a number's digits show in every epoch, and in no epoch as more than 0.5%."""
    exact = fit([Job("A", 0)], CELLS, DROPPING, CPU)[0]
    coarse = fit([Job("A", 0)], CELLS, DROPPING, CPU, precision="bfloat16")[0]
    a, b = ([row["train_loss"] for row in one.history] for one in (exact, coarse))
    assert len(a) == len(b) > 3
    assert all(one != other for one, other in zip(a, b, strict=True))
    assert a == pytest.approx(b, rel=0.005)
    for name, weight in exact.weights.items():
        assert 0 < np.abs(weight - coarse.weights[name]).max() < 0.02


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("variant", [LINEAR, DROPPING.model_copy(update={"epochs": 4})])
def test_a_gpu_follows_the_same_trajectory(variant, optimizer):
    """Recorded steps included; cell types of different size, with early stops."""
    still = {} if variant is LINEAR else {"options": variant.options | {"dropout": 0.0}}
    variant = variant.model_copy(update={"optimizer": optimizer, "patience": 2, **still})
    jobs = [Job(cell, seed) for cell in CELLS for seed in (0, 1)]
    gpu, cpu = (fit_all(jobs, CELLS, variant, torch.device(name)) for name in ("cuda", "cpu"))
    for a, b in zip(gpu, cpu, strict=True):
        assert len(a.history) == len(b.history)
        for mine, other in zip(a.history, b.history, strict=True):
            assert mine == pytest.approx(other, rel=1e-3)


def test_examples_are_in_the_same_order_whoever_is_beside():
    few = Job("A", 0, ("A", "B"), examples=25)
    first, other = (
        Examples(CELLS, LINEAR, CPU),
        Examples(dict(reversed(CELLS.items())), LINEAR, CPU),
    )
    one, two = (rows.x[:, rows.of(few, "train")] for rows in (first, other))
    torch.testing.assert_close(one, two, rtol=0, atol=0)
