"""Finds what `module:function` names."""

import contextlib
import importlib
import os
import sys
from typing import Any


class TargetError(Exception):
    """Nothing can be run; the text says why and what to do."""


def load(target: str) -> Any:
    """The function, or the task made from it. The current directory is on the path.

    What the module prints while it is imported goes to stderr. Raises TargetError.
    """
    module, separator, name = target.partition(":")
    if not (module and separator and name):
        raise TargetError(f"{target!r} names no function: write module:function, such as train:model_training")
    if not sys.flags.safe_path and not {"", os.getcwd()}.intersection(sys.path):
        sys.path.insert(0, os.getcwd())
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # an import runs any code
        raise TargetError(
            f"{module} cannot be imported ({type(error).__name__}: {error}): "
            "run this in the folder that has it, where everything that it imports is installed"
        ) from error
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise TargetError(f"{module} has no {name}: name one of its functions") from None
    return found
