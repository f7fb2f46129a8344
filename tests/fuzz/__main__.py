"""`python -m fuzz --inputs 10000 --seed 0`: damaged inputs of every kind; status 1 on a fault."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from fuzz.doors import DOORS
from fuzz.run import Fuzzer, answers


def main() -> int:
    """Try inputs, print the table and each faulty input, and keep these."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="in all, over every door")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--doors", nargs="*", default=[], help="names, or beginnings of them")
    parser.add_argument("--keep", type=Path, default=Path(".cache/fuzz"), help="faulty inputs")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--range", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        (door,) = (door for door in DOORS if door.name == given.worker)
        for answer in answers(door, given.seed, range(*given.range), lambda: _say("ready")):
            _say(json.dumps(asdict(answer)))
        return 0
    doors = [door for door in DOORS if not given.doors or door.name.startswith(tuple(given.doors))]
    fuzzer = Fuzzer(given.seed, -(-given.inputs // len(doors)), doors)
    fuzzer.run(len(os.sched_getaffinity(0)))
    print(fuzzer.table())
    for answer in fuzzer.faults():
        ways = ", ".join(answer.ways)
        print(f"{answer.outcome}: {answer.door}, input {answer.number} ({ways}): {answer.note}")
    fuzzer.keep(given.keep)
    return int(bool(fuzzer.faults()))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
