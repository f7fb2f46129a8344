"""Steps recorded once and run again, without what it takes to come to their operators.

On a CPU a step is recorded as a flat list of operators, a tape: small operators take less time than
autograd, vmap and modules take to come to them. On a GPU it is recorded as a CUDA graph: one launch
for each step, not for each operator. What that gains is told in docs/performance.md.
"""

import operator
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from deepchrome.console import warn

Step = Callable[..., Tensor]

_RANDOM = torch.Tag.nondeterministic_seeded


class Capture(Protocol):
    """A way to record steps. warming: how many steps run as they are before one is recorded."""

    warming: int

    def plain(self, step: Step, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take a step as it is."""

    def record(self, step: Step, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Step | None]:
        """Take a step; return its result and what takes it again, None where that cannot be."""


class Recording:
    """A step that runs from its recording, one for each layout of its inputs.

    state: returns the tensors that the step changes in place. The first replay of each recording is
    compared with the step itself, to the last bit; where they differ, it warns and takes plain
    steps from then on. A recording reads and writes fixed memory: `forget` all when it has moved.
    """

    def __init__(self, step: Step, capture: Capture, state: Callable[[], list[Tensor]] = list):
        self._step, self._capture, self._state = step, capture, state
        self.faulty = False
        self.forget()

    def forget(self) -> None:
        """Drop all recordings."""
        self._warmed: dict[Any, int] = {}
        self._replays: dict[Any, Step] = {}
        self._checked: set[Any] = set()

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Take a step."""
        layout = tuple((tensor.shape, tensor.stride()) for tensor in inputs)
        if layout in self._checked:
            return self._replays[layout](*inputs)
        if self.faulty:
            return self._step(*inputs)
        if layout in self._replays:
            return self._check(layout, inputs)
        warmed = self._warmed.setdefault(layout, 0)
        if warmed < self._capture.warming:
            self._warmed[layout] += 1
            return self._capture.plain(self._step, inputs)
        result, replay = self._capture.record(self._step, inputs)
        if replay:
            self._replays[layout] = replay
        else:
            self.faulty = True
        return result

    def _check(self, layout: Any, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take one step, and once more from the recording; go on from the step itself."""
        before = [tensor.clone() for tensor in self._state()]
        found = [self._replays[layout](*inputs).clone(), *(t.clone() for t in self._state())]
        for tensor, earlier in zip(self._state(), before, strict=True):
            tensor.copy_(earlier)
        result = self._step(*inputs)
        expected = [result, *self._state()]
        if all(_same_bits(a, b) for a, b in zip(found, expected, strict=True)):
            self._checked.add(layout)
        else:
            self.faulty = True
            warn(
                "a recorded step differs from the step itself; training goes on without recordings "
                "(train.record: off says nothing)"
            )
        return result


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or torch.equal(a.nan_to_num(), b.nan_to_num())


class Tape:
    """Records steps on a CPU."""

    warming = 0

    def plain(self, step: Step, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take a step as it is."""
        return step(*inputs)

    def record(self, step: Step, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Step | None]:
        """Take a step, writing down its operators."""
        with _Recorder(inputs) as recorder:
            result = step(*inputs)
        if not recorder.whole:
            return result, None
        function, held = recorder.end(result), recorder.held

        @torch.inference_mode()
        def replay(*inputs: Tensor) -> Tensor:
            return function(*inputs, *held)

        return result, replay


class CudaGraph:
    """Records steps on a GPU. All graphs share one pool of memory and one stream."""

    warming = 3

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()
        self._pool = torch.cuda.graph_pool_handle()

    def plain(self, step: Step, inputs: tuple[Tensor, ...]) -> Tensor:
        """Take a step as it is, on the stream that records: it sets up what cannot be recorded."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            result = step(*inputs)
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def record(self, step: Step, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Step | None]:
        """Record a step, and take it."""
        graph, places = torch.cuda.CUDAGraph(), [tensor.clone() for tensor in inputs]
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = step(*places)

        def replay(*inputs: Tensor) -> Tensor:
            for place, tensor in zip(places, inputs, strict=True):
                place.copy_(tensor)
            graph.replay()
            return result.clone()

        return replay(*inputs), replay


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
