"""Steps recorded once and run again, without what it takes to come to their operators."""

import operator
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_RANDOM = torch.Tag.nondeterministic_seeded


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

    def steps(self, inputs: Iterable[tuple[Tensor, ...]]) -> list[Tensor]:
        """Take a step with each of these inputs, of the same shapes; return their results."""
        return [self._step(*given).clone() for given in inputs]

    def _step(self, *inputs: Tensor) -> Tensor:
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


class Tapes:
    """On a CPU: steps recorded as flat lists of operators: of training, or of scoring alone.

    Small operators take less time than autograd, vmap and modules take to come to them. A tape
    holds the tensors that the step found in place, such as weights, and changes them where the step
    did, so there is one for each layout of the inputs, and all are forgotten when jobs stop.
    """

    def __init__(self, step: Callable[..., Tensor]):
        self._run = step
        self.forget()

    def forget(self) -> None:
        """Drop all tapes: the memory that they use has moved."""
        self._tapes: dict[Any, tuple[Callable[..., Tensor], list[Tensor]] | None] = {}

    def steps(self, inputs: Iterable[tuple[Tensor, ...]]) -> list[Tensor]:
        """Take a step with each of these inputs, of the same shapes; return their results."""
        rest = iter(inputs)
        first = next(rest, None)
        if first is None:
            return []
        layout = tuple((tensor.size(), tensor.stride()) for tensor in first)
        if layout in self._tapes:
            done, rest = [], chain([first], rest)
        else:
            with _Recorder(first) as recorder:
                done = [self._run(*first)]
            tape = (recorder.end(done[0]), recorder.held) if recorder.whole else None
            self._tapes[layout] = tape
        tape = self._tapes[layout]
        if tape is None:
            return done + [self._run(*given) for given in rest]
        function, held = tape
        with torch.inference_mode():
            return done + [function(*given, *held) for given in rest]


class _Recorder(TorchDispatchMode):
    """Writes down every operator that runs, below autograd and vmap, as a function.

    inputs: the tensors that the function will be given. Others that operators took and none made
    are `held`: the function is given them after its inputs. whole: whether the function does all
    that was done; it cannot where Python looked at a tensor's numbers.
    """

    def __init__(self, inputs: tuple[Tensor, ...]):
        super().__init__()
        self.graph = fx.Graph()
        self.held: list[Tensor] = []
        self.whole = True
        self._nodes: dict[int, fx.Node] = {}
        self._seen: list[Tensor] = []  # kept, so that an id stays that of one tensor
        self._made: set[int] = set()
        self._places: dict[Any, fx.Node] = {}
        for one in inputs:
            self._name(one, self.graph.placeholder(f"given_{len(self._nodes)}"))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to skip it torch imports it: 2 s

    def end(self, result: Tensor) -> Callable[..., Tensor]:
        """Return the function; it returns what became of `result`."""
        self.graph.output(self._nodes[id(result)])
        self.graph.eliminate_dead_code(
            lambda node: node.op in ("placeholder", "output") or node.meta.get("kept", False)
        )
        self._seen.clear()
        return fx.GraphModule(torch.nn.Module(), self.graph).forward

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        known = [t for t in _tensors([args, kwargs]) if self._changes(t)]
        if func is torch.ops.aten._local_scalar_dense.default:
            self.whole = False
        view = func.is_view or func is torch.ops.aten._unsafe_view.default
        same = self._places.get(_place(result)) if isinstance(result, Tensor) and view else None
        if known and same is not None:  # such as detach: of no use without autograd
            self._name(result, same)
        elif known or not func.is_view:  # a view of what is held is held itself
            node = self._call(func, args, kwargs or {})
            node.meta["kept"] = func._schema.is_mutable or _RANDOM in func.tags
            if isinstance(result, Tensor):
                self._name(result, node)
            elif isinstance(result, tuple | list):
                for i, one in enumerate(result):
                    self._name(one, self.graph.call_function(operator.getitem, (node, i)))
            if not func.is_view and func.overloadpacket.__name__[-1] != "_":
                self._made.update(_storage(t) for t in _tensors(result))
        return result

    def _call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Node:
        """Write down a call, by the name in torch or Tensor where there is one: half the time."""
        name = func.overloadpacket.__name__.replace("_unsafe_view", "view")
        arguments: Any = [fx.node.map_aggregate(part, self._node) for part in (args, kwargs)]
        if hasattr(torch._C._VariableFunctions, name):
            return self.graph.call_function(getattr(torch._C._VariableFunctions, name), *arguments)
        if hasattr(torch._C.TensorBase, name):
            return self.graph.call_method(name, *arguments)
        return self.graph.call_function(func, *arguments)

    def _name(self, tensor: Tensor, node: fx.Node) -> None:
        self._seen.append(tensor)
        self._nodes[id(tensor)] = node
        self._places[_place(tensor)] = node

    def _changes(self, tensor: Tensor) -> bool:
        """Whether a tensor is given to the function, or made by it: another each time."""
        return id(tensor) in self._nodes and not any(tensor is one for one in self.held)

    def _node(self, argument: Any) -> Any:
        """Return what stands for an argument in the graph."""
        if not isinstance(argument, Tensor):
            return argument
        if id(argument) not in self._nodes:
            if _storage(argument) in self._made:  # made by an operator that was not seen
                self.whole = False
            self._name(argument, self.graph.placeholder(f"held_{len(self.held)}"))
            self.held.append(argument)
        return self._nodes[id(argument)]


def _tensors(nested: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(nested) if isinstance(leaf, Tensor)]


def _place(tensor: Tensor) -> tuple[Any, ...]:
    """Return what is equal for two tensors that are the same but for autograd."""
    return (
        _storage(tensor),
        tensor.storage_offset(),
        tensor.size(),
        tensor.stride(),
        tensor.dtype,
    )


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
