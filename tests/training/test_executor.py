"""Processes and what they are forked from."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from deepchrome.training.executor import in_processes, prepare_processes

def imported(name):
    return name in sys.modules

if __name__ == "__main__":
    prepare_processes("deepchrome.evaluation.metrics")
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
