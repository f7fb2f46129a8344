"""Work done in processes of this machine, with what they report and how they end."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any, TypeVar

from deepchrome.errors import DeepChromeError

Item = TypeVar("Item")
Result = TypeVar("Result")


WORTH_PROCESSES = 6.0
"""Seconds of work, on one core, from which on starting processes pays."""

_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""By which signals a process ends that went wrong by itself."""

_CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_worker() -> None:
    """Prepare a worker process; its parent deals with Ctrl-C, and takes it along when killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent:
            parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def prepare_processes(module: str) -> None:
    """Start what processes of `in_processes` are forked from, if it does not run yet.

    It imports the module once for all of them, and while the caller goes on. Forking this process
    itself would be faster still, but a child may inherit a lock that a thread of Arrow or torch
    holds. Elsewhere than on Linux nothing is forked, and each process imports for itself.
    """
    if _CONTEXT.get_start_method() != "forkserver":
        return
    _CONTEXT.set_forkserver_preload([module])
    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if here else None
    try:
        forkserver.ensure_running()  # Ctrl-C is ours to deal with, also while it imports
    finally:
        if here:
            signal.signal(signal.SIGINT, before)


def processes_for(seconds: float, items: int) -> int:
    """Return how many processes so many seconds of work are worth: 1 is this one.

    Starting processes, which import for themselves, takes some seconds.
    """
    return min(cores(), items) if seconds > WORTH_PROCESSES else 1


def in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    on_report: Callable[..., None] = lambda *what: None,
    killed: str = "a process was killed, perhaps for lack of memory",
    setup: Callable[[], None] | None = None,
    crashed: Callable[[Item, int], str] | None = None,
) -> list[Result]:
    """Call a function for each item, in processes; return the results in order.

    workers: how many; with 1 or fewer the function is called here, unless `crashed` is given.
    on_report: called here with what the function gives to `report`. killed: the message where a
    process dies. setup: called once in each process. crashed: for functions that may crash their
    process: returns the message, given the item and the signal that ended it.
    What the function raises is raised at once.
    """
    global _report
    if workers <= 1 and not crashed:
        before, _report = _report, on_report
        try:
            return [function(item) for item in items]
        finally:
            _report = before
    prepare_processes(function.__module__)
    queue = _CONTEXT.SimpleQueue()
    pool = ProcessPoolExecutor(max(workers, 1), _CONTEXT, _start_reporter, (queue, setup))
    in_work: dict[int | None, int] = {}
    """By process: the number of the item that it began last."""

    def take_reports() -> None:
        while not queue.empty():
            process, number, what = queue.get()
            if number is None:
                on_report(*what)
            else:
                in_work[process] = number

    try:
        futures = [pool.submit(_call, function, i, item) for i, item in enumerate(items)]
        processes = list(pool._processes.values())
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.1)
            take_reports()
            for future in done:
                future.result()
        pool.shutdown()  # idle by now; killed, they would leave their locks behind
        return [future.result() for future in futures]
    except BrokenProcessPool:
        take_reports()
        pool.shutdown()  # the others are ended by SIGTERM
        for process in processes:
            ended_by = -(process.exitcode or 0)
            if ended_by in _CRASHES and process.pid in in_work and crashed:
                raise DeepChromeError(crashed(items[in_work[process.pid]], ended_by)) from None
        raise DeepChromeError(killed) from None
    finally:
        _end(pool)


_report: Callable[..., None] = lambda *what: None  # noqa: E731


def _start_reporter(queue: Any, setup: Callable[[], None] | None) -> None:
    global _report
    global _queue
    _queue = queue
    _report = lambda *what: queue.put((os.getpid(), None, what))  # noqa: E731
    start_worker()
    if setup:
        setup()


_queue: Any = None


def _call(function: Callable[[Item], Result], number: int, item: Item) -> Result:
    """Call the function in a worker process, and say on which item before."""
    _queue.put((os.getpid(), number, ()))
    return function(item)


def report(*what: object) -> None:
    """Tell the caller of `in_processes` something, from within the function that it calls."""
    _report(*what)


@contextlib.contextmanager
def one_beside() -> Iterator[ProcessPoolExecutor]:
    """Give a process for work that goes on beside; what is not done at the end is given up."""
    pool = ProcessPoolExecutor(1, _CONTEXT, initializer=start_worker)
    try:
        yield pool
    finally:
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    """End a pool's processes, whatever they do, and no other child of this process."""
    mine = list((pool._processes or {}).values())  # Python 3.14 has terminate_workers for this
    pool.shutdown(wait=False, cancel_futures=True)
    for process in mine:
        process.terminate()
