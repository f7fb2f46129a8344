"""Mutations of a file's content: of bytes, of a text's lines and fields, of a JSON tree."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

Rng = np.random.Generator
Mutation = Callable[[bytes, Rng], bytes]

EDGES = [
    *("", "0", "-1", "-0", "1.5", "1e9", "1e400", "nan", "inf", "-inf", "NA", "None", "true"),
    *("255", "256", "65535", "65536", "2147483648", "4294967296", "9223372036854775808"),
    *("+5", " 7", "7 ", "007", "0x10", "1_000", "1,000", "1.0", "५", "1e3", ".", "+", "-", "*"),
]
"""What stands where a number or a word was."""

NAMES = [
    *(
        "[red]x[/red]",
        "[/x]",
        "a$b_c^{$",
        "../../evil",
        "<script>alert(1)</script>",
        "a/b",
        "x" * 300,
    ),
    *(
        '"',
        '"quoted"',
        "'",
        "#",
        "# a comment",
        "a b",
        "é",
        "\u202e",
        "\x1b[31m",
        "chr1",
        "ENSG",
        ".",
    ),
]
"""Names that mean something elsewhere."""


def flip_bits(data: bytes, rng: Rng) -> bytes:
    """Flip one to three bits."""
    changed = bytearray(data)
    for at in rng.integers(0, len(data), rng.integers(1, 4)):
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _span(data: bytes, rng: Rng) -> tuple[int, int]:
    start = int(rng.integers(0, len(data)))
    return start, min(len(data), start + int(rng.integers(1, max(2, len(data) // 4))))


def truncate(data: bytes, rng: Rng) -> bytes:
    """Cut the end off."""
    return data[: int(rng.integers(0, len(data)))]


def cut_out(data: bytes, rng: Rng) -> bytes:
    """Remove a span."""
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def repeat(data: bytes, rng: Rng) -> bytes:
    """Write a span twice."""
    start, end = _span(data, rng)
    return data[:end] + data[start:end] + data[end:]


def blank(data: bytes, rng: Rng) -> bytes:
    """Overwrite a span by zeros, as of a hole in a copy."""
    start, end = _span(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def append(data: bytes, rng: Rng) -> bytes:
    """Write random bytes after the end."""
    return data + rng.bytes(int(rng.integers(1, 100)))


def set_byte(data: bytes, rng: Rng) -> bytes:
    """Set one byte to an extreme value."""
    at = int(rng.integers(0, len(data)))
    return data[:at] + bytes([int(rng.choice([0, 1, 10, 127, 128, 255]))]) + data[at + 1 :]


BYTES: list[Mutation] = [flip_bits, flip_bits, truncate, cut_out, repeat, blank, append, set_byte]


def of_lines(change: Callable[[list[bytes], Rng], list[bytes]]) -> Mutation:
    """Return a mutation of a text's lines."""

    def mutate(data: bytes, rng: Rng) -> bytes:
        return b"\n".join(change(data.split(b"\n"), rng))

    mutate.__name__ = change.__name__
    return mutate


def _line(lines: list[bytes], rng: Rng) -> int:
    """Choose a line, as often as not one of the first three."""
    return int(rng.integers(0, min(3, len(lines)) if rng.random() < 0.5 else len(lines)))


@of_lines
def drop_line(lines: list[bytes], rng: Rng) -> list[bytes]:
    at = _line(lines, rng)
    return lines[:at] + lines[at + 1 :]


@of_lines
def double_line(lines: list[bytes], rng: Rng) -> list[bytes]:
    at, to = _line(lines, rng), _line(lines, rng)
    return [*lines[:to], lines[at], *lines[to:]]


@of_lines
def swap_lines(lines: list[bytes], rng: Rng) -> list[bytes]:
    a, b = _line(lines, rng), _line(lines, rng)
    lines[a], lines[b] = lines[b], lines[a]
    return lines


@of_lines
def odd_line(lines: list[bytes], rng: Rng) -> list[bytes]:
    odd = [
        b"",
        b" ",
        b"\t\t\t",
        b"# note",
        b"track name=x",
        b"browser hide all",
        b"\xff\xfe",
        b"\x00",
    ]
    at = _line(lines, rng)
    return [*lines[:at], odd[int(rng.integers(len(odd)))], *lines[at:]]


def of_fields(change: Callable[[list[bytes], Rng], list[bytes]]) -> Mutation:
    """Return a mutation of the fields of one line, or of every line alike."""

    def mutate(data: bytes, rng: Rng) -> bytes:
        mark = b"\t" if b"\t" in data else b"," if b"," in data else b" "
        lines = data.split(b"\n")
        seed = int(rng.integers(2**31))
        every = rng.random() < 0.2
        for at in range(len(lines)) if every else [_line(lines, rng)]:
            if lines[at]:
                fields = change(lines[at].split(mark), np.random.default_rng(seed))
                lines[at] = mark.join(fields)
        return b"\n".join(lines)

    mutate.__name__ = change.__name__
    return mutate


@of_fields
def swap_fields(fields: list[bytes], rng: Rng) -> list[bytes]:
    a, b = rng.integers(0, len(fields), 2)
    fields[a], fields[b] = fields[b], fields[a]
    return fields


@of_fields
def drop_field(fields: list[bytes], rng: Rng) -> list[bytes]:
    del fields[int(rng.integers(len(fields)))]
    return fields


@of_fields
def double_field(fields: list[bytes], rng: Rng) -> list[bytes]:
    at = int(rng.integers(len(fields)))
    return [*fields[:at], fields[at], *fields[at:]]


@of_fields
def edge_value(fields: list[bytes], rng: Rng) -> list[bytes]:
    fields[int(rng.integers(len(fields)))] = EDGES[int(rng.integers(len(EDGES)))].encode()
    return fields


@of_fields
def odd_name(fields: list[bytes], rng: Rng) -> list[bytes]:
    fields[int(rng.integers(len(fields)))] = NAMES[int(rng.integers(len(NAMES)))].encode()
    return fields


def encode(data: bytes, rng: Rng) -> bytes:
    """Write the text as another program would: BOM, line ends, UTF-16, packed."""
    text = data.decode("utf-8", "replace")
    ways: list[Callable[[], bytes]] = [
        lambda: b"\xef\xbb\xbf" + data,
        lambda: data.replace(b"\n", b"\r\n"),
        lambda: data.replace(b"\n", b"\r"),
        lambda: text.encode("utf-16"),
        lambda: gzip.compress(data, mtime=0),
        lambda: b"".join(gzip.compress(part, mtime=0) for part in (data[:50], data[50:])),
        lambda: data.replace(b"\t", b" "),
        lambda: data.rstrip(b"\n"),
        lambda: data + b"\n\n",
        lambda: b"",
    ]
    return ways[int(rng.integers(len(ways)))]()


def insert(data: bytes, rng: Rng) -> bytes:
    """Put a character in that is no part of a table."""
    odd = [
        b"\0",
        b"\r",
        b"\x1b",
        b"\xef\xbb\xbf",
        b'"',
        b"\xe9",
        b"\t",
        b" ",
        b"\n",
        b"\x0b",
        b"\x85",
    ]
    at = int(rng.integers(0, len(data)))
    return data[:at] + odd[int(rng.integers(len(odd)))] + data[at:]


TEXT: list[Mutation] = [
    *(drop_line, double_line, swap_lines, odd_line, swap_fields, drop_field, double_field),
    *(edge_value, edge_value, odd_name, encode, insert, *BYTES),
]


def of_tree(load: Callable[[bytes], Any], dump: Callable[[Any], str]) -> Mutation:
    """Return a mutation of one node of a tree of objects, lists and values."""

    def mutate_tree(data: bytes, rng: Rng) -> bytes:
        tree = load(data)
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = keys[int(rng.integers(len(keys)))]
            inner = node[key]
            if not (isinstance(inner, dict | list) and inner and rng.random() < 0.7):
                break
            node = inner
        odd: list[Any] = [None, {}, [], "", 0, -1, 1.5, True, 10**20, [[]], {"a": 1}, "x" * 300]
        choice = int(rng.integers(len(odd) + len(NAMES) + 3))
        if choice < len(odd):
            node[key] = odd[choice]
        elif choice < len(odd) + len(NAMES):
            node[key] = NAMES[choice - len(odd)]
        elif choice == len(odd) + len(NAMES):
            del node[key]
        elif isinstance(node, dict):
            node[NAMES[int(rng.integers(len(NAMES)))]] = inner
        else:
            node.append(inner)
        return dump(tree).encode()

    return mutate_tree


JSON: list[Mutation] = [*[of_tree(json.loads, json.dumps)] * 10, insert, encode, *BYTES]
YAML: list[Mutation] = [*[of_tree(yaml.safe_load, yaml.safe_dump)] * 10, *TEXT]


def mutated(data: bytes, ways: list[Mutation], rng: Rng) -> tuple[bytes, list[str]]:
    """Return the content after one to three mutations, and their names."""
    done = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        if not data:
            break
        way = ways[int(rng.integers(len(ways)))]
        try:
            data = way(data, rng)
        except (ValueError, IndexError, TypeError, yaml.YAMLError):
            continue  # no tree, or no field, after an earlier mutation
        done.append(way.__name__)
    return data, done
