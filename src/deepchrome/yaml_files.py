"""YAML as this project takes it: one mapping of plain values, within bounds, nothing said twice.

Stricter than YAML 1.1: no tags, no repeated keys (the last would count, without a word), and no
numbers that mean another one elsewhere, such as 010 (8) or 1:30 (90): these are text.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from deepchrome.errors import DeepChromeError

MAX_BYTES = 2**20
MAX_NODES = 20_000
"""Values of a file, each alias counted as what it stands for: a few lines can stand for billions.

The project's own file has about 300."""

_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


class _Loader(yaml.SafeLoader):
    """Plain values alone: no tags, and decimal numbers as they are written."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise yaml.composer.ComposerError(
                None, None, f"found the tag {event.tag!r}, expected plain values", event.start_mark
            )
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    start: [(tag, rule) for tag, rule in rules if tag not in (_INT, _FLOAT)]
    for start, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), [*"-+0123456789"])
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?$|"
        r"[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
    ),
    [*"-+0123456789."],
)


def read_yaml(path: Path, remedy: str) -> dict[Any, Any]:
    """Read a YAML file that holds a mapping.

    remedy: what to do where it is missing. Raises DeepChromeError for a file that is missing, a
    folder or unreadable, and for what `parse_yaml` refuses.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DeepChromeError(f"{path}: no such file; {remedy}") from None
    except IsADirectoryError:
        raise DeepChromeError(f"{path}: a folder; expected a YAML file") from None
    except (OSError, ValueError) as error:  # of a null byte in the path
        raise DeepChromeError(f"{path}: cannot be read ({error})") from None
    return parse_yaml(content, str(path))


def parse_yaml(content: bytes, where: str) -> dict[Any, Any]:
    """Return the mapping that YAML text holds. where: what to call it in messages.

    Raises DeepChromeError for what is no UTF-8, no YAML, no mapping, too large or nested too deep,
    and for repeated keys, tags and aliases that stand for too much or for themselves.
    """
    if len(content) > MAX_BYTES:
        raise DeepChromeError(
            f"{where}: more than {MAX_BYTES:,} bytes; expected a file of settings"
        )
    try:
        loader = _Loader(content.decode("utf-8-sig"))
        try:
            root = loader.get_single_node()
            if root is not None:
                _check(root, where)
            loaded = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DeepChromeError(
            f"{where}: line {line}: not text in UTF-8; save the file as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"line {mark.line + 1}: " if mark else ""
        raise DeepChromeError(f"{where}: {at}not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:  # of characters that no YAML may hold
        raise DeepChromeError(f"{where}: not valid YAML: {error}") from None
    except RecursionError:
        raise DeepChromeError(f"{where}: nested too deep; expected sections and values") from None
    except ValueError as error:  # a number of thousands of digits, a 30th of February
        said = str(error).split(";")[0]
        raise DeepChromeError(f"{where}: not valid YAML: {said}") from None
    if not isinstance(loaded, dict):
        found = "nothing" if loaded is None else f"a {type(loaded).__name__}"
        raise DeepChromeError(
            f"{where}: found {found}, expected sections such as 'data:' and 'models:'"
        )
    return loaded


def _check(root: yaml.Node, where: str) -> None:
    """Refuse repeated keys, and aliases that stand for too much or for what holds them."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            line = node.start_mark.line + 1
            raise DeepChromeError(f"{where}: line {line}: an anchor that holds its own alias")
        if id(node) not in sizes:
            open_nodes.add(id(node))
            inner: list[yaml.Node] = []
            if isinstance(node, yaml.MappingNode):
                _check_keys(node, where)
                inner = [one for pair in node.value for one in pair]
            elif isinstance(node, yaml.SequenceNode):
                inner = node.value
            sizes[id(node)] = 1 + sum(map(size, inner))
            open_nodes.discard(id(node))
        return sizes[id(node)]

    total = size(root)
    if total > MAX_NODES:
        amount = f"{total:,}" if total < 10**15 else "more than 10^15"
        raise DeepChromeError(
            f"{where}: its aliases stand for {amount} values, expected {MAX_NODES:,} at most"
        )


def _check_keys(node: yaml.MappingNode, where: str) -> None:
    """Refuse a key that stands twice in one mapping."""
    first: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if (key.tag, key.value) in first:
            raise DeepChromeError(
                f"{where}: line {line}: key {key.value[:80]!r} is there already, in line "
                f"{first[key.tag, key.value]}; expected each key once"
            )
        first[key.tag, key.value] = line
