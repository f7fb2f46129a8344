"""A few damaged inputs of every door; `make fuzz` tries thousands."""

import pytest

from deepchrome.errors import DeepChromeError
from fuzz import run
from fuzz.doors import DOORS
from fuzz.run import FAULTS, REFUSED, SAME, Answer, Fuzzer, answers, input_of

QUICK = [door for door in DOORS if door.name not in ("BAM", "bigWig")]
"""Without the doors that start a process for each input."""


@pytest.mark.parametrize("door", QUICK, ids=lambda door: door.name)
def test_a_few_inputs_of_every_door(door):
    found = list(answers(door, seed=1, numbers=range(4)))
    assert len(found) == 4
    assert not [answer for answer in found if answer.outcome in FAULTS]


def test_the_same_seed_gives_the_same_input():
    content = b"gene_id\tchrom\ttss\nA\tchr1\t5\n"
    inputs = [input_of(DOORS[2], content, 3, number) for number in range(20)]
    assert inputs == [input_of(DOORS[2], content, 3, number) for number in range(20)]
    assert len({damaged for damaged, _ in inputs}) > 10
    assert content not in {damaged for damaged, _ in inputs}


def reads(result):
    """Return a door that reads a file by a function of its content."""

    def read(folder):
        return result((folder / "a.txt").read_bytes())

    def make(folder):
        folder.mkdir()
        (folder / "a.txt").write_bytes(b"1\t2\n")

    agrees = lambda folder, found: "" if found["a"] == (folder / "a.txt").read_bytes() else "other"  # noqa: E731
    return run.Door("a", make, "a.txt", DOORS[0].ways, read, agrees)


def refuse(content):
    raise DeepChromeError("no")


@pytest.mark.parametrize(
    ("damaged", "expected"),
    [
        (refuse, {REFUSED}),
        (lambda content: {"a": b"1\t2\n"}, {SAME}),
        (lambda content: {"a": content}, {run.OTHER}),
        (lambda content: {"a": b"5"}, {run.SILENT}),
        (lambda content: {"a": content[100]}, {run.TRACEBACK}),
    ],
)
def test_outcomes(damaged, expected):
    door = reads(lambda content: {"a": content} if content == b"1\t2\n" else damaged(content))
    assert {answer.outcome for answer in answers(door, 0, range(10))} == expected


def test_the_table_counts_and_tells_faults():
    fuzzer = Fuzzer(0, 2, [DOORS[0]])
    name = DOORS[0].name
    fuzzer.found = [Answer(name, 0, [], REFUSED, ""), Answer(name, 1, [], run.DEAD, "status -11")]
    assert fuzzer.table().splitlines()[2:] == [
        f"| {name} | 2 | 1 | 0 | 0 | 1 |",
        "| All | 2 | 1 | 0 | 0 | 1 |",
    ]
    assert [answer.number for answer in fuzzer.faults()] == [1]


def test_a_process_that_dies_is_followed_by_another(monkeypatch, tmp_path):
    """Each input in turn, in a process that ends without a word after its first answer."""
    said = '{"door": "x", "number": %d, "ways": [], "outcome": "refused", "note": ""}'
    script = tmp_path / "dies.sh"
    script.write_text(f"#!/bin/sh\necho ready\nprintf '{said}\\n' $8\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(run.sys, "executable", str(script))
    fuzzer = Fuzzer(0, 4, [DOORS[0]])
    fuzzer.run(1)
    assert [(one.number, one.outcome) for one in fuzzer.found] == [
        (0, REFUSED),
        (1, run.DEAD),
        (2, REFUSED),
        (3, run.DEAD),
    ]
