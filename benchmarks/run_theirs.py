"""Run a script of the authors' repository, unchanged, under today's PyTorch.

    python run_theirs.py SCRIPT ARGUMENTS

`peers.py` calls this. What it changes, none of it within the code that is timed:
- an option whose default is a number, but that names no type, takes a number (`--epochs`,
  `--dloader-workers`: the text "10" is of no use to `range`);
- `torch.load` reads what the script itself saved, which holds NumPy numbers;
- `torchsummary`, which one file imports and no training calls, is an empty module.
"""

import argparse
import functools
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


def main() -> None:
    """Run the script that the command line names, with the arguments after it."""
    add_argument = argparse.ArgumentParser.add_argument

    def typed(self: argparse.ArgumentParser, *names: str, **options: Any) -> argparse.Action:
        if type(options.get("default")) is int and "action" not in options:
            options.setdefault("type", int)
        return add_argument(self, *names, **options)

    argparse.ArgumentParser.add_argument = typed
    torch.load = functools.partial(torch.load, weights_only=False)
    sys.modules["torchsummary"] = ModuleType("torchsummary")
    sys.modules["torchsummary"].summary = None
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
