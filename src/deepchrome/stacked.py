"""Many networks of one architecture as one: stacked weights, their gradients and updates."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from deepchrome import MARKS, N_BINS
from deepchrome.models import build, margin
from deepchrome.params import ModelParams


class Networks:
    """The stacked weights of several jobs: each parameter has shape=(jobs, *its own shape).

    seeds: of each job's initial weights. precision: as for `training.fit`.
    """

    def __init__(
        self,
        params: ModelParams,
        seeds: Sequence[int],
        dropout_seed: int,
        device: torch.device,
        precision: str = "float32",
    ):
        self.base = network(params).to(device)
        self.device = device
        self.bfloat16 = precision == "bfloat16"
        if device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
        drawn = [initial_weights(params, seed) for seed in seeds]
        self.weights = {
            name: torch.stack([weights[name] for weights in drawn]).to(device) for name in drawn[0]
        }
        self.batched = len(seeds) > 1 and can_batch(params)
        self._recorded: dict[torch.Size, GraphModule] = {}
        torch.manual_seed(dropout_seed)

    def gradients(
        self, x: Tensor, y: Tensor, w: Tensor, often: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the log-odds of high, shape=(jobs, batch), and the gradients of stacked weights.

        x: shape=(jobs, batch, bins, marks), contiguous. y: shape=(jobs, batch). w: likewise, of
        each example in its job's mean cross-entropy, 0 for padding. often: there will be many calls
        with these shapes. Jobs beyond the first `len(x)` take no part.
        """
        self.base.train()
        if self.batched and len(x) > 1:
            rows = {name: weight[: len(x)] for name, weight in self.weights.items()}
            if not (often and self.device.type == "cpu"):
                return self._gradients(rows, x, y, w, self._all)
            given = x, y, w, *rows.values()
            if x.shape not in self._recorded:
                self._recorded[x.shape] = self._record(*given)
            margins, *gradients = self._recorded[x.shape](*given)
            return margins, dict(zip(rows, gradients, strict=True))
        # one by one; for a single job plain operators are faster than batched ones
        parts = [self._gradients(self._row(k), x[k], y[k], w[k], self._one) for k in range(len(x))]
        return torch.stack([margins for margins, _ in parts]), {
            name: parts[0][1][name][None]
            if len(parts) == 1
            else torch.stack([gradients[name] for _, gradients in parts])
            for name in self.weights
        }

    def _gradients(
        self,
        weights: dict[str, Tensor],
        x: Tensor,
        y: Tensor,
        w: Tensor,
        score: Callable[[dict[str, Tensor], Tensor], Tensor],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
        margins = score(leaves, x)
        slope = (margins.detach().sigmoid() - y) * w  # of the cross-entropy
        gradients = torch.autograd.grad(margins, list(leaves.values()), slope)
        return margins.detach(), dict(zip(leaves, gradients, strict=True))

    def _record(self, *given: Tensor) -> GraphModule:
        """Write down the operators of `_gradients`, forward and backward, as one flat function.

        Small operators take less time than autograd and vmap take to come to them. given: x, y, w
        and each of the weights, as the function will get them.
        """

        def step(x: Tensor, y: Tensor, w: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
            named = dict(zip(self.weights, weights, strict=True))
            margins, gradients = self._gradients(named, x, y, w, self._all)
            return margins, *gradients.values()

        with torch.random.fork_rng(devices=[]):  # recording runs it once
            return make_fx(step)(*given)

    @torch.no_grad()
    def score(self, x: Tensor) -> Tensor:
        """Return the log-odds of high by each job, shape=(jobs, genes).

        x: shape=(jobs, genes, bins, marks).
        """
        self.base.eval()
        if self.batched and len(x) > 1:
            return self._all(self.weights, x)
        return torch.stack([self._one(self._row(k), x[k]) for k in range(len(x))])

    def _row(self, k: int) -> dict[str, Tensor]:
        return {name: weight[k] for name, weight in self.weights.items()}

    def _one(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        if not self.bfloat16:
            return margin(functional_call(self.base, weights, (x,)))
        with torch.autocast(self.device.type, torch.bfloat16):
            return margin(functional_call(self.base, weights, (x,))).float()

    def _all(self, weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return vmap(self._one, randomness="different")(weights, x)

    def weights_of(self, i: int) -> dict[str, np.ndarray]:
        """Return a copy of one job's weights."""
        return {name: weight[i].cpu().numpy().copy() for name, weight in self.weights.items()}

    def keep(self, kept: Tensor) -> None:
        """Drop the jobs that have stopped."""
        for name, weight in self.weights.items():
            self.weights[name] = weight[kept]


def can_batch(params: ModelParams) -> bool:
    """Tell whether vmap has a rule for every operator of a network, by trying it."""
    base = network(params).train()
    weights = {
        name: p.detach()[None].repeat(2, *[1] * p.dim()).requires_grad_()
        for name, p in base.named_parameters()
    }

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return margin(functional_call(base, weights, (x,)))

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("error")  # where vmap warns, it loops over the networks itself
        try:
            scores = vmap(one, randomness="different")(weights, torch.zeros(2, 2, *_shape(params)))
            torch.autograd.grad(scores.sum(), list(weights.values()))
        except (RuntimeError, NotImplementedError, UserWarning):
            return False
    return True


def _shape(params: ModelParams) -> tuple[int, int]:
    """Return the bins and marks that a variant's network takes."""
    return 1 if params.reduce else N_BINS, len(MARKS)


def network(params: ModelParams) -> nn.Module:
    """Build the network of a variant for the bins and marks of a data set."""
    return build(params.architecture, *_shape(params), params.options)


def initial_weights(params: ModelParams, seed: int) -> dict[str, Tensor]:
    """Draw the initial weights of one network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: p.detach().clone() for name, p in network(params).named_parameters()}


class Optimizer:
    """SGD or AdamW on stacked weights, with a learning rate for each job.

    torch's fused kernels take one rate a call. Jobs with as many steps an epoch have the same rate
    at every step, so they are updated together: a block of consecutive rows. Weight decay is
    decoupled from the gradient (Loshchilov and Hutter 2019).

    steps: steps per epoch of each job, in descending order.
    """

    def __init__(self, weights: dict[str, Tensor], params: ModelParams, steps: np.ndarray):
        self.weights, self.params = weights, params
        adam = params.optimizer == "adam"
        self.first = {n: torch.zeros_like(w) for n, w in weights.items()} if adam else {}
        self.second = {n: torch.zeros_like(w) for n, w in weights.items()} if adam else {}
        self.taken = {n: torch.zeros(len(w), device=w.device) for n, w in weights.items()}
        self._set_blocks(steps)

    def _set_blocks(self, steps: np.ndarray) -> None:
        ends = [*np.flatnonzero(np.diff(steps)) + 1, len(steps)]
        self.blocks = [slice(int(a), int(b)) for a, b in zip([0, *ends], ends, strict=False)]

    @torch.no_grad()
    def step(self, gradients: dict[str, Tensor], rates: np.ndarray | Tensor) -> None:
        """Take one step. rates: shape=(jobs,), of the first jobs, whole blocks; others rest.

        On a GPU a tensor there, so that a recorded step reads the rate of its time.
        """
        params = self.params
        for block in self.blocks:
            if block.start >= len(rates):
                break
            weights = [self.weights[name][block] for name in gradients]
            # the fused kernels read memory in order, which a gradient need not be in
            mine = [gradient[block].contiguous() for gradient in gradients.values()]
            rate: Any = rates[block.start]
            if not isinstance(rate, Tensor):
                rate = float(rate)
            if params.optimizer == "sgd":
                sgd(
                    weights,
                    mine,
                    [None] * len(weights),
                    fused=True,
                    weight_decay=params.weight_decay,  # without momentum the same as decoupled
                    momentum=0,
                    lr=rate,
                    dampening=0,
                    nesterov=False,
                    maximize=False,
                )
                continue
            adamw(
                weights,
                mine,
                [self.first[name][block] for name in gradients],
                [self.second[name][block] for name in gradients],
                [],
                [self.taken[name][block.start] for name in gradients],
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=rate,
                weight_decay=params.weight_decay,
                eps=1e-8,
                maximize=False,
            )

    def keep(self, kept: Tensor, steps: np.ndarray) -> None:
        """Drop the jobs that have stopped. steps: those of the jobs that are kept."""
        for block in self.blocks:
            for taken in self.taken.values():
                taken[block] = taken[block.start]  # steps are counted in a block's first row
        for state in (self.first, self.second, self.taken):
            for name in state:
                state[name] = state[name][kept]
        self._set_blocks(steps)

    def state(self) -> dict[str, Tensor]:
        """Return what `restore` needs."""
        parts = {"first": self.first, "second": self.second, "taken": self.taken}
        return {f"{part}.{name}": t for part, named in parts.items() for name, t in named.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` returned, after `keep` with the same jobs."""
        for name, mine in self.state().items():
            mine.copy_(tensors[name])


class Graphs:
    """Steps recorded once as CUDA graphs and replayed: a launch for each step, not each operator.

    A graph reads and writes fixed memory, so there is one for each number of jobs that take part,
    its inputs are copied into place, and all are forgotten when jobs stop. The first steps of each
    run as they are: what they set up cannot be recorded.
    """

    WARMING = 3

    def __init__(self, step: Callable[..., Tensor]):
        self._run = step
        self.forget()

    def forget(self) -> None:
        """Drop all graphs: the memory that they use has moved."""
        self._warmed: dict[int, int] = {}
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}

    def step(self, *inputs: Tensor) -> Tensor:
        """Do what the step does with these inputs."""
        n = len(inputs[0])
        if n not in self._graphs:
            self._warmed[n] = self._warmed.get(n, 0) + 1
            if self._warmed[n] <= self.WARMING:
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    result = self._run(*inputs)
                torch.cuda.current_stream().wait_stream(side)
                return result
            graph = torch.cuda.CUDAGraph()
            places = [part.clone() for part in inputs]
            with torch.cuda.graph(graph):
                result = self._run(*places)
            self._graphs[n] = graph, places, result
        graph, places, result = self._graphs[n]
        for place, part in zip(places, inputs, strict=True):
            place.copy_(part)
        graph.replay()
        return result
