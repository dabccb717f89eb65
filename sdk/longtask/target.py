"""Loads the function that `module:function` names."""

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longtask.frames import OURS, RUNNERS


class TargetError(Exception):
    """There is nothing to run, or to make a template of; the message says why and what to do."""


def load(target: str) -> Any:
    """Import and return the function, or the Task made from it. The current directory is on the import path.

    What the module writes to stdout while it is imported goes to stderr. Raises TargetError.
    """
    module, separator, name = target.partition(":")
    if not (module and separator and name):
        raise TargetError(f"{target!r} names no function: write module:function, such as train:model_training")
    if not all(part.isidentifier() for part in module.split(".")) or module.endswith(".py"):
        raise TargetError(_no_module(module, name))
    if not sys.flags.safe_path and not {"", os.getcwd()}.intersection(sys.path):
        sys.path.insert(0, os.getcwd())
    try:
        with _quiet():
            found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # an import can raise anything
        raise TargetError(f"{module} cannot be imported ({_named(error)}{_advice(module, error)}") from error
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise TargetError(f"{module} has no {name}: name one of its functions") from None
    return found


def _no_module(module: str, name: str) -> str:
    """The error message for a module part that is not a module name, such as a path."""
    path = Path(module)
    stem = path.stem if path.suffix == ".py" else path.name
    if not stem.isidentifier():
        return f"{module!r} is no name of a module: it has letters, digits and _ only; rename the file"
    folder = "" if path.parent == Path() else f"in the folder {path.parent} "
    return f"{module!r} is a path, and a module is wanted: {folder}write {stem}:{name}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Redirect stdout to stderr, for prints and child processes: stdout is for the template or the result."""
    with contextlib.ExitStack() as stack, contextlib.redirect_stdout(sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # stdout or stderr is closed
            sys.__stdout__.flush()  # type: ignore[union-attr]
            kept = os.dup(1)
            stack.callback(os.close, kept)
            os.dup2(2, 1)
            stack.callback(os.dup2, kept, 1)
        yield


def _named(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else error  # its str() repeats the place
    return f"{type(error).__name__}: {text}"


def _advice(module: str, error: BaseException) -> str:
    """The rest of the message: where it was raised, and how to correct it."""
    if isinstance(error, SystemExit):
        return (
            "): it ends the process while it is imported, as argparse does at the top of a module; "
            'put what only a program does below `if __name__ == "__main__":`'
        )
    if isinstance(error, ModuleNotFoundError):
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return f"): run this in the folder that has it, which {os.getcwd()} is not, or install it"
        return "): install what it imports, or run this where it is installed, as in the image"
    frames = traceback.extract_tb(error.__traceback__)
    if frames and frames[-1].filename.startswith(OURS):  # errors of @longtask.task say what to do
        return ")"
    theirs = [each for each in frames if not each.filename.startswith(RUNNERS)]
    place = f" in {theirs[-1].filename}:{theirs[-1].lineno}" if theirs else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" in {error.filename}:{error.lineno}"
    return f"{place}): its own code fails while it is imported; correct that first"
