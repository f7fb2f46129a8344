"""How the generator is trained: against a critic, as a conditional Wasserstein GAN.

With gradient penalty (Gulrajani et al. 2017), over log1p counts of 100 bins x 5 marks. The critic
sees reads drawn from the generator's expectation, so that it cannot tell the two apart by their
grain. Both see the same condition: the label and the cell type together.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, leaky_relu, pad

from deepchrome import MARKS, N_BINS
from deepchrome.data.dataset import CellType
from deepchrome.interpretation.network import HIDDEN, Network, conditions, generate, read_out
from deepchrome.interpretation.signals import log_signals
from deepchrome.params import GanParams

CRITIC_STEPS = 2
"""Steps of the critic for one of the generator."""

GRADIENT_PENALTY = 10.0
AVERAGING = 0.998
"""The generator that is kept is a running average over steps, with this weight of the past."""

CURVE_EVERY = 10
"""Steps averaged to one row of the training curve."""

_FLAT = N_BINS * len(MARKS)


class Critic(nn.Module):
    """Log signals and a condition -> a score, higher for real ones; shape=(genes,).

    Two hidden layers on all bins, and on each mark's log sum, mean and maximum. The condition
    enters at the first layer and as a projection at the last (Miyato and Koyama 2018). centre: the
    mean log signal, shape=(bins, marks).
    """

    def __init__(self, conditions: int, centre: Tensor):
        super().__init__()
        self.centre: Tensor
        self.register_buffer("centre", centre)
        self.first = nn.Linear(_FLAT + 3 * len(MARKS), HIDDEN)
        self.second = nn.Linear(HIDDEN, HIDDEN)
        self.score = nn.Linear(HIDDEN, 1)
        self.at_first = nn.Embedding(conditions, HIDDEN)
        self.at_last = nn.Embedding(conditions, HIDDEN)
        nn.init.zeros_(self.at_first.weight)
        nn.init.zeros_(self.at_last.weight)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        total = torch.expm1(x.clamp(max=10)).sum(1).clamp(min=0)
        seen = [(x - self.centre).flatten(1), total.log1p(), x.mean(1), x.amax(1)]
        h = leaky_relu(self.first(torch.cat(seen, 1)) + self.at_first(condition), 0.2)
        h = leaky_relu(self.second(h), 0.2)
        return self.score(h)[:, 0] + (h * self.at_last(condition)).sum(1)


@dataclass(frozen=True)
class Examples:
    """The genes that a GAN learns from: log signals and condition of each.

    `x`: log1p, float32, shape=(genes, bins, marks). `condition`: int64, shape=(genes,).
    """

    x: Tensor
    condition: Tensor

    @classmethod
    def of(cls, cells: list[CellType], split: str, device: torch.device) -> "Examples":
        """Take the genes of one split of all cell types."""
        parts = [cell.part(split) for cell in cells]
        x = np.concatenate([part.X for part in parts]).astype(np.float32)
        label = torch.from_numpy(np.concatenate([part.y for part in parts]).astype(np.int64))
        position = np.repeat(np.arange(len(parts)), [len(part.y) for part in parts])
        condition = conditions(label, torch.from_numpy(position))
        return cls(torch.from_numpy(x).log1p().to(device), condition.to(device))


@dataclass(frozen=True)
class Step:
    """What is known after a step of the generator.

    `distance`: the critic's estimate of the Wasserstein distance. Gradient norms are those of the
    whole network. `guidance`: the classifier's loss on generated signals, 0 without one.
    """

    step: int
    distance: float
    critic_loss: float
    generator_loss: float
    critic_gradient: float
    generator_gradient: float
    guidance: float


def mean_step(steps: Sequence[Step]) -> dict[str, float]:
    """Return a row of the training curve: the last step's number, and means over the steps."""
    means = pd.DataFrame(steps).mean().round(6).to_dict()
    return means | {"step": steps[-1].step}


def curve(steps: Sequence[Step]) -> pd.DataFrame:
    """Return the training curve: what `Step` holds, one row for every ten steps."""
    starts = range(0, len(steps), CURVE_EVERY)
    rows = [mean_step(steps[start : start + CURVE_EVERY]) for start in starts]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Step)])


class DivergedError(Exception):
    """A loss is no longer a number."""


Guide = Sequence[Callable[[Tensor], Tensor]]
"""For each cell type its log-odds of high, of log signals; as `log_odds.scorer` returns them."""


class Trainer:
    """Trains a generator against a critic; `network` is the average over steps that is kept.

    values: counts or signal. guide: the classifiers behind `params.guidance`; None where that is 0.
    The same seed gives the same steps.
    """

    def __init__(
        self,
        examples: Examples,
        params: GanParams,
        values: str,
        guide: Guide | None = None,
    ):
        self.examples, self.params, self.values, self.guide = examples, params, values, guide
        device = examples.x.device
        torch.manual_seed(params.seed)
        n = int(examples.condition.max()) + 1
        n += n % 2  # the last cell type's low genes alone would leave one out
        self.cells = n // 2
        start = starting_profiles(examples, n, values)
        self.generator = Network(start).to(device)
        self.network = Network(start).to(device)
        self.network.load_state_dict(self.generator.state_dict())
        self.critic = Critic(n, examples.x.mean(0)).to(device)
        self._optimizers = [
            torch.optim.Adam(part.parameters(), params.learning_rate, betas=(0.0, 0.9))
            for part in (self.generator, self.critic)
        ]
        # the second half anneals to 0: less noise in what is kept
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(one, lambda t: min(1.0, 2 - 2 * t / params.steps))
            for one in self._optimizers
        ]

    def train(self) -> Iterator[Step]:
        """Take `params.steps` steps of the generator, and report each.

        Raises DivergedError where a loss is not finite; `network` is then as it was before.
        """
        for step in range(1, self.params.steps + 1):
            for _ in range(CRITIC_STEPS):
                distance, critic_loss, critic_norm = self._critic_step()
            loss, guidance, norm = self._generator_step(step)
            if not math.isfinite(loss + critic_loss + norm + critic_norm):
                raise DivergedError
            self._average(step)
            for schedule in self._schedules:
                schedule.step()
            yield Step(step, distance, critic_loss, loss, critic_norm, norm, guidance)

    def sheet(self) -> np.ndarray:
        """Return log signals of a few generated genes of the first cell type, first four high ones.

        To look on changes nothing of what is trained.
        """
        condition = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0], device=self.examples.x.device)
        state = torch.get_rng_state()
        signals = generate(self.network, condition, self.values)
        torch.set_rng_state(state)
        return log_signals(signals)

    def _batch(self) -> Tensor:
        n = len(self.examples.condition)
        return torch.randint(n, (self.params.batch_size,), device=self.examples.x.device)

    def _critic_step(self) -> tuple[float, float, float]:
        rows = self._batch()
        real, condition = self.examples.x[rows], self.examples.condition[rows]
        with torch.no_grad():
            fake = read_out(self.generator.draw(condition), self.values)
        score = self.critic(torch.cat([real, fake]), condition.repeat(2))
        distance = score[: len(real)].mean() - score[len(real) :].mean()
        share = torch.rand(len(real), 1, 1, device=real.device)
        between = (share * real + (1 - share) * fake).requires_grad_()
        total = self.critic(between, condition).sum()
        (slope,) = torch.autograd.grad(total, between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        loss = -distance + GRADIENT_PENALTY * penalty
        norm = self._update(1, loss)
        return distance.item(), loss.item(), norm

    def _generator_step(self, step: int) -> tuple[float, float, float]:
        condition = self.examples.condition[self._batch()]
        self.critic.requires_grad_(False)
        loss = -self.critic(read_out(self.generator.draw(condition), self.values), condition).mean()
        guidance = torch.zeros((), device=loss.device)
        if self.guide:
            guidance = self._guidance(step % self.cells)
        norm = self._update(0, loss + self.params.guidance * guidance)
        self.critic.requires_grad_(True)
        return loss.item(), guidance.item(), norm

    def _guidance(self, cell: int) -> Tensor:
        """Return the classifier's loss on generated signals of one cell type; they take turns."""
        assert self.guide is not None
        mine = self.examples.condition[self.examples.condition // 2 == cell]
        condition = mine[torch.randint(len(mine), (self.params.batch_size,), device=mine.device)]
        log_odds = self.guide[cell](read_out(self.generator.draw(condition), self.values))
        label = (condition % 2).float()
        return nn.functional.binary_cross_entropy_with_logits(log_odds, label)

    def _update(self, which: int, loss: Tensor) -> float:
        optimizer = self._optimizers[which]
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.get_total_norm(
            [p.grad for p in optimizer.param_groups[0]["params"] if p.grad is not None]
        )
        optimizer.step()
        return norm.item()

    @torch.no_grad()
    def _average(self, step: int) -> None:
        past = min(AVERAGING, (1 + step) / (10 + step))
        pairs = zip(self.network.parameters(), self.generator.parameters(), strict=True)
        for kept, now in pairs:
            kept.lerp_(now, 1 - past)


def starting_profiles(examples: Examples, n: int, values: str) -> Tensor:
    """Return each condition's mean profile over training genes, smoothed over five bins.

    As the network's output: shape=(conditions, bins, marks).
    """
    overall = examples.x.mean(0)
    rows = []
    for condition in range(n):
        mine = examples.x[examples.condition == condition]
        rows.append(mine.mean(0) if len(mine) else overall)
    profiles = _smooth(torch.stack(rows), 5)
    if values == "signal":
        return profiles
    return torch.expm1(profiles).clamp(min=0.05).log()


def _smooth(profiles: Tensor, bins: int) -> Tensor:
    """Average over so many neighbouring bins; shape=(n, bins, marks)."""
    half = bins // 2
    padded = pad(profiles.transpose(1, 2), (half, half), mode="replicate")
    return avg_pool1d(padded, bins, 1).transpose(1, 2)
