"""What a person sees while a stage runs."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
"""Prints text as it is: names and paths may hold what would be markup."""


def warn(message: str) -> None:
    """Print a warning that is not missed."""
    console.print(Text("warning: ", style="bold yellow") + Text(message, style="none"))


class _Rate(ProgressColumn):
    """Units a second, in the unit of the task."""

    def render(self, task: Task) -> Text:
        # over the whole run: rich forgets its own speed when a total changes
        elapsed = task.finished_time or task.elapsed
        if not elapsed or not task.completed:
            return Text("")
        speed = task.completed / elapsed
        digits = 0 if speed >= 100 else 1
        return Text(f"{speed:,.{digits}f} {task.fields['unit']}/s")


class Advance:
    """Moves one bar on; called as `advance(n=1, note=None)`."""

    def __init__(self, bar: Progress, task: TaskID):
        self._bar, self._task = bar, task

    def __call__(self, n: float = 1, note: str | None = None) -> None:
        self._bar.advance(self._task, n)
        if note is not None:
            self._bar.update(self._task, note=note)

    def total(self, total: float) -> None:
        """Say how much there is in all, or how much it has turned out to be."""
        self._bar.update(self._task, total=total)


@contextlib.contextmanager
def progress(title: str, unit: str, total: float) -> Iterator[Advance]:
    """Show a bar with rate and time left (at the end, time taken) while the block runs."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TaskProgressColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
    )
    with bar:
        yield Advance(bar, bar.add_task(title, total=total, unit=unit, note=""))
