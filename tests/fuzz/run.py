"""Damages a door's file again and again, and says what became of each input."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepchrome.errors import DeepChromeError
from fuzz.doors import DOORS, Door, digest
from fuzz.mutate import mutated

REFUSED, SAME, OTHER = "refused", "the same", "as it stands"
TRACEBACK, SILENT, DEAD, HANGS = "traceback", "silent", "dead process", "hangs"
FAULTS = (TRACEBACK, SILENT, DEAD, HANGS)

HANGING = 900.0
"""Seconds without an answer after which a process is taken to hang, however busy the machine."""


@dataclass(frozen=True)
class Answer:
    """What became of one input: the door, its number, the mutations, the outcome and a note."""

    door: str
    number: int
    ways: list[str]
    outcome: str
    note: str


def input_of(door: Door, content: bytes, seed: int, number: int) -> tuple[bytes, list[str]]:
    """Return the damaged content of one input; the same for the same seed and number."""
    rng = np.random.default_rng([seed, number, *door.name.encode()])
    for _ in range(20):
        damaged, ways = mutated(content, door.ways, rng)
        if damaged != content:
            break
    return damaged, ways


def answers(
    door: Door, seed: int, numbers: range, ready: Callable[[], object] = lambda: None
) -> Iterator[Answer]:
    """Try inputs of one door in this process. ready: called once the sound folder is read."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        base, work = Path(folder, "base"), Path(folder, "work")
        door.make(base)
        content = (base / door.file).read_bytes()
        sound = _outcome(door, base, "")
        assert sound[0] == OTHER, f"{door.name}: the sound folder is {sound}"
        expected = sound[1]
        ready()
        for number in numbers:
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(base, work)
            damaged, ways = input_of(door, content, seed, number)
            (work / door.file).write_bytes(damaged)
            outcome, note = _outcome(door, work, expected)
            yield Answer(door.name, number, ways, outcome, note)


def _outcome(door: Door, folder: Path, expected: str) -> tuple[str, str]:
    """Read a folder. expected: what the sound one gave; "" for the sound one itself."""
    try:
        found = door.read(folder)
    except DeepChromeError as error:
        return REFUSED, str(error)
    except Exception as error:  # of whatever kind: none may reach a person
        return TRACEBACK, f"{type(error).__name__}: {error}"
    if expected and digest(found) == expected:
        return SAME, ""
    if expected and door.agrees is None:
        return SILENT, "accepted with other values"
    try:
        differs = door.agrees(folder, found) if door.agrees else ""
    except Exception as error:  # the other reading cannot read it
        differs = f"accepted, though {type(error).__name__}: {error}"
    return (SILENT, differs) if differs else (OTHER, digest(found) if not expected else "")


@dataclass
class Fuzzer:
    """Tries inputs of many doors in processes of their own, which may die without harm."""

    seed: int
    each: int
    doors: list[Door] = field(default_factory=lambda: list(DOORS))
    found: list[Answer] = field(default_factory=list)

    def run(self, processes: int) -> None:
        """Try all doors, `processes` at a time."""
        waiting = list(self.doors)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    if not waiting:
                        return
                    door = waiting.pop(0)
                self._door(door)

        threads = [threading.Thread(target=work) for _ in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _door(self, door: Door) -> None:
        """Try one door; a process that dies is followed by one that goes on after that input."""
        start = 0
        while start < self.each:
            command = [sys.executable, "-m", "fuzz", "--worker", door.name]
            command += ["--seed", str(self.seed), "--range", str(start), str(self.each)]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert process.stdout
            assert process.stderr
            hung = threading.Event()

            def stop(process: Any = process, hung: threading.Event = hung) -> None:
                hung.set()
                process.kill()

            said: list[str] = []
            reader = threading.Thread(target=lambda p=process, s=said: s.append(p.stderr.read()))
            reader.start()
            ready = False
            while True:
                timer = threading.Timer(HANGING, stop)
                timer.start()
                line = process.stdout.readline()
                timer.cancel()
                if not line.startswith("{"):
                    if not line:
                        break
                    ready = ready or line == "ready\n"
                    continue
                self.found.append(Answer(**json.loads(line)))
                start += 1
            status = process.wait()
            reader.join()
            if not ready:
                raise RuntimeError(f"{door.name}: the sound folder fails\n{said[0]}")
            if start < self.each:
                outcome = HANGS if hung.is_set() else DEAD
                note = f"status {status}: {said[0][-500:]}"
                self.found.append(Answer(door.name, start, [], outcome, note))
                start += 1

    def table(self) -> str:
        """Return how each kind of file fared, as a Markdown table."""
        head = ["Kind of file", "inputs", REFUSED, "read the same", "read as it stands", "faults"]
        rows = [head, ["---", *["---:"] * 5]]
        by_door = {door.name: Counter[str]() for door in self.doors}
        for answer in self.found:
            by_door[answer.door][answer.outcome] += 1
        by_door["All"] = sum(by_door.values(), Counter[str]())
        for name, counts in by_door.items():
            numbers = [counts.total(), *(counts[one] for one in (REFUSED, SAME, OTHER))]
            numbers.append(sum(counts[fault] for fault in FAULTS))
            rows.append([name, *(f"{n:,}" for n in numbers)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def faults(self) -> list[Answer]:
        """Return the inputs that went wrong."""
        return [answer for answer in self.found if answer.outcome in FAULTS]

    def keep(self, folder: Path) -> None:
        """Write the faulty inputs, for a test each."""
        for answer in self.faults():
            door = next(door for door in self.doors if door.name == answer.door)
            with tempfile.TemporaryDirectory() as made:
                door.make(Path(made, "base"))
                content = Path(made, "base", door.file).read_bytes()
            name = door.name.replace(", ", "-").replace(" ", "-")
            target = folder / f"{name}-{self.seed}-{answer.number}" / Path(door.file).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(input_of(door, content, self.seed, answer.number)[0])
