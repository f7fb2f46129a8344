"""The command line: one command for each stage and a few more. Parses, calls, prints; no logic.

Modules are imported by the command that needs them, so that `--help` answers at once.
"""

import io
import os
import signal
import sys
import traceback

from deepchrome.cli import app as options
from deepchrome.cli import stages, tools
from deepchrome.errors import DeepChromeError

__all__ = ["main", "stages", "tools"]


def main() -> None:
    """Run the command line.

    Exit status 1 for an error of the input, 2 for one of usage, 130 after Ctrl-C (Typer's own),
    143 after SIGTERM.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it was writing is cleared away
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # print what the terminal lacks as \xNN
            stream.reconfigure(errors="backslashreplace")
    try:
        options.app()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # for what is written as the process ends
        sys.exit(1)
    except DeepChromeError as error:
        _fail(str(error))
    except Exception as error:
        if _lacks_memory(error):
            said = str(error).partition("\n")[0]
            _fail(
                f"not enough memory ({type(error).__name__}: {said}). "
                "Give the process more, or name fewer cell types (cells) or smaller batches "
                "(batch_size) in params.yaml. Earlier outputs are as they were"
            )
        _fail(
            f"unexpected {type(error).__name__}: {error}; this is a fault of the program. "
            "Run 'deepchrome --debug ...' for the traceback"
        )


def _lacks_memory(error: Exception) -> bool:
    """Tell whether memory was refused; torch says so in words alone, for the CPU."""
    refused = ("can't allocate memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or any(words in str(error) for words in refused)


def _fail(message: str) -> None:
    if options.debugging:
        traceback.print_exc()
    from rich.console import Console
    from rich.text import Text

    text = Text("error: ", style="bold red") + Text(_printable(message), style="none")
    Console(stderr=True, soft_wrap=True, highlight=False).print(text)
    sys.exit(1)


def _printable(message: str) -> str:
    """Show what would act on a terminal, such as an escape in a file's name, as what it is."""
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in message
    )
