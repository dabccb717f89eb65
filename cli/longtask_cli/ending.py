"""How the program ends: with an exit code and a sentence, whatever happens."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import click

from longtask_cli.problem import INTERRUPTED, Problem, ReaderGone

BROKEN_PIPE = 141
"""Exit code of a shell after SIGPIPE."""
DEBUG = "LONGTASK_DEBUG"
"""With this variable an error that nobody has foreseen is a traceback."""


def ending(main: Callable[[], int | None]) -> int:
    """Run the program; its exit code. Ctrl-C and a reader that has gone end it without a word of Python's."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _code(main)
        sys.stdout.flush()
    except (ReaderGone, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write goes nowhere
        return BROKEN_PIPE
    return code


def _code(main: Callable[[], int | None]) -> int:
    try:
        return main() or 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ReaderGone:
        raise
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        Problem(f"{type(error).__name__}: {error}. This is a mistake of the program; {DEBUG}=1 shows where").show()
        return Problem.exit_code
