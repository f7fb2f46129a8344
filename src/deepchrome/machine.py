"""The machine a stage runs on."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from deepchrome.errors import DeepChromeError

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    setup: Callable[[], None],
    on_report: Callable[..., None],
    killed: str,
) -> list[Result]:
    """Call a function for each item, in processes; return the results in order.

    setup: called once in each process. on_report: called here with what the function gives to
    `report`. killed: the message where a process dies. What the function raises is raised at once.
    """
    # spawn: a forked child may inherit a lock that a thread of Arrow or torch holds
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    pool = ProcessPoolExecutor(workers, context, _start_reporter, (queue, setup))
    try:
        futures = [pool.submit(function, item) for item in items]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.1)
            while not queue.empty():
                on_report(*queue.get())
            for future in done:
                future.result()
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise DeepChromeError(killed) from None
    finally:
        _end(pool)


_queue: Any = None


def _start_reporter(queue: Any, setup: Callable[[], None]) -> None:
    global _queue
    _queue = queue
    start_worker()
    setup()


def report(*what: object) -> None:
    """Tell the parent of a process of `in_processes` something."""
    _queue.put(what)


@contextlib.contextmanager
def one_beside() -> Iterator[ProcessPoolExecutor]:
    """Give a process for work that goes on beside; what is not done at the end is given up."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, context, initializer=start_worker)
    try:
        yield pool
    finally:
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()
