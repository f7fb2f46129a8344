"""Headers of files whose readers are native code, read in a process of their own.

A damaged file can crash these readers (htslib, libBigWig), and with them the process.

    python -m deepchrome.data.sources.native < PATHS, one JSON string a line
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deepchrome.data.sources import alignments, signal
from deepchrome.errors import DeepChromeError


def is_native(path: Path) -> bool:
    """Tell by its name whether a file's reader is native code, and its header states lengths."""
    return path.name.lower().endswith((*alignments.BAM, *alignments.CRAM, *signal.BIGWIG))


def crashed(path: Path, number: int) -> str:
    """Return the message for a file on which the process that reads it ended by a signal."""
    return (
        f"{path}: damaged; the library that reads it crashed on it (signal {number}). Copy or "
        "download it again"
    )


def chromosome_sizes(paths: Sequence[Path]) -> list[dict[str, int]]:
    """Return the lengths of chromosomes that headers of BAM, CRAM and bigWig files state.

    All are read in one other process. Raises DeepChromeError for a file that is no such file, or
    a damaged one.
    """
    if not paths:
        return []
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input="".join(json.dumps(str(path)) + "\n" for path in paths),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for path, answer in zip(paths, answers, strict=False):
        if "error" in answer:
            raise DeepChromeError(answer["error"])
        if not answer["sizes"]:
            raise DeepChromeError(f"{path}: its header names no chromosomes")
    if done.returncode or len(answers) < len(paths):
        raise DeepChromeError(crashed(paths[len(answers)], abs(done.returncode)))
    return [answer["sizes"] for answer in answers]


def header(path: Path) -> dict[str, int]:
    """Return the lengths of chromosomes that a file states, read in this process."""
    if path.name.lower().endswith(signal.BIGWIG):
        return signal.sizes_of(path)
    return alignments.sizes_of(path)


def main() -> None:
    """Answer for each path of the input with a line: its sizes or what is wrong with it."""
    for line in sys.stdin:
        try:
            answer: dict[str, object] = {"sizes": header(Path(json.loads(line)))}
        except DeepChromeError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
