"""fetch: download published data, with bars while it goes on and a line for what came of it."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from deepchrome.data.sources import roadmap
from deepchrome.data.sources.download import Observer


def run(
    output: Path,
    url: str | None,
    expression_url: str | None,
    checksum: str | None,
    expression_checksum: str | None,
    force: bool,
) -> None:
    """Download the published archive and the expression table (`roadmap.fetch`)."""
    _show(
        lambda bars: roadmap.fetch(
            output,
            bars,
            url=url,
            expression_url=expression_url,
            checksum=checksum,
            expression_checksum=expression_checksum,
            force=force,
        )
    )


def run_reads(
    cells: list[str],
    marks: list[str],
    output: Path,
    url: str | None,
    expression_url: str | None,
    force: bool,
) -> None:
    """Download reads and the expression table (`roadmap.fetch_reads`)."""
    _show(
        lambda bars: roadmap.fetch_reads(
            cells, marks, output, bars, url=url, expression_url=expression_url, force=force
        )
    )


def _show(fetch: Callable[[Observer], list[str]]) -> None:
    bars = _Bars()
    try:
        notes = fetch(bars)
    finally:
        bars.stop()
    for note in notes:
        print(note)


class _Bars(Observer):
    """Shows bytes, rate and time left of each download, on standard error."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, markup=False, emoji=False, highlight=False),
        )
        self._tasks: dict[str, TaskID] = {}

    def start(self, name: str, total: int | None, done: int) -> None:
        if not self._tasks:
            self._progress.start()  # nothing is shown where nothing is downloaded
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None)
        self._progress.reset(self._tasks[name], total=total, completed=done)

    def advance(self, name: str, done: int) -> None:
        self._progress.update(self._tasks[name], completed=done)

    def say(self, message: str) -> None:
        self._progress.console.print(message, soft_wrap=True)

    def stop(self) -> None:
        """Leave the bars as they are."""
        if self._tasks:
            self._progress.stop()
