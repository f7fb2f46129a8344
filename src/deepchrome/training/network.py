"""The network of a variant of params.yaml, and whether several jobs can share it."""

import warnings

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from deepchrome import MARKS, N_BINS
from deepchrome.errors import DeepChromeError, listing
from deepchrome.models import build, margin
from deepchrome.params import ModelParams


def network(params: ModelParams) -> nn.Module:
    """Build the network of a variant for the bins and marks of a data set."""
    return build(params.architecture, *_shape(params), params.options)


def _shape(params: ModelParams) -> tuple[int, int]:
    """Return the bins and marks that a variant's network takes."""
    return 1 if params.reduce else N_BINS, len(MARKS)


def initial_weights(params: ModelParams, seed: int) -> dict[str, Tensor]:
    """Draw the initial weights of one network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: p.detach().clone() for name, p in network(params).named_parameters()}


def can_batch(params: ModelParams) -> bool:
    """Tell whether vmap has a rule for every operator of a network, by trying it.

    Raises DeepChromeError for a network that several jobs cannot share, or that would not give the
    same numbers again (`models`).
    """
    base = network(params)
    _check_rules(base, params)
    base.train()
    weights = {
        name: p.detach()[None].repeat(2, *[1] * p.dim()).requires_grad_()
        for name, p in base.named_parameters()
    }

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return margin(functional_call(base, weights, (x,)))

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("error")  # where vmap warns, it loops over the networks itself
        try:
            scores = vmap(one)(weights, torch.zeros(2, 2, *_shape(params)))
            torch.autograd.grad(scores.sum(), list(weights.values()))
        except (RuntimeError, NotImplementedError, UserWarning):
            return False
    return True


def _check_rules(base: nn.Module, params: ModelParams) -> None:
    """Refuse a network whose result would depend on more than its weights and the gene."""
    fault = None
    buffers = base.state_dict().keys() - dict(base.named_parameters()).keys()
    x = torch.rand(3, *_shape(params), generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        together, alone = base.eval()(x), base(x[:1])
        before = torch.get_rng_state()
        base.train()(x)
        drawn = not torch.equal(before, torch.get_rng_state())
    if buffers:
        fault = (
            f"it keeps {listing(sorted(buffers), 3)}, as BatchNorm does, which training changes; "
            "all networks would share them and none would be saved. Use LayerNorm, or register a "
            "constant with persistent=False"
        )
    elif not torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-5):
        fault = "its score of a gene depends on the other genes of the batch"
    elif drawn:
        fault = (
            "it draws random numbers other than by nn.Dropout, which would not be the same again "
            "beside other networks"
        )
    if fault:
        raise DeepChromeError(f"architecture {params.architecture}: {fault}")


def largest_activation(params: ModelParams) -> int:
    """Return how many numbers the largest tensor holds that one gene becomes in a network."""

    class Sizes(TorchDispatchMode):
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False  # as in `tape`: to skip it torch imports it

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            found.append(result.numel() if isinstance(result, Tensor) else 0)
            return result

    base, sizes = network(params).eval(), []
    for genes in (2, 3):  # a single one takes other operators
        found: list[int] = []
        with torch.no_grad(), Sizes():
            base(torch.zeros(genes, *_shape(params)))
        sizes.append(found)
    # weights are as large for three genes as for two
    return max(three - two for two, three in zip(*sizes, strict=True))
