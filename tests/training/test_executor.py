"""Processes and what they are forked from."""

import subprocess
import sys

import pytest

from deepchrome.training.executor import in_processes, report

SCRIPT = """
import sys
from deepchrome.training.executor import in_processes, prepare_processes

def imported(name):
    return name in sys.modules

if __name__ == "__main__":
    prepare_processes("deepchrome.training.ranking")
    names = ["torch", "deepchrome.cli"]
    print(in_processes(imported, names, 2), "torch" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_processes_begin_with_what_was_imported_for_them(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[True, False] False"
    assert not done.stderr


BESIDE = """
import subprocess, sys
from deepchrome.training.executor import in_processes

def double(n):
    return 2 * n

if __name__ == "__main__":
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    import multiprocessing
    context = multiprocessing.get_context("spawn")
    never = context.Event()
    child = context.Process(target=never.wait)
    child.start()
    print(in_processes(double, [1, 2, 3], 2), child.is_alive(), other.poll())
    child.terminate()
    other.terminate()
"""


def test_only_its_own_processes_are_ended(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(BESIDE)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout == "[2, 4, 6] True None\n"


def ask(n):
    report(n)
    return n + 1


def test_one_worker_is_this_process():
    told = []
    assert in_processes(ask, [1, 2], 1, told.append) == [2, 3]
    assert told == [1, 2]
    report("nobody listens")
