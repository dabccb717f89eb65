"""Exit codes, and the error that ends a command with a message. Pure."""

from typing import IO, Any, Final

import click

from longtask_cli.text import lines

SUCCEEDED: Final = 0
FAILED: Final = 1
"""The task failed; for `doctor`, something is wrong."""
CANCELLED: Final = 3
UNABLE: Final = 4
"""The command could not be carried out; nothing is known of the outcome of a task."""
TIMED_OUT: Final = 5
INTERRUPTED: Final = 130
"""Ctrl-C, as a shell shows it."""


class ReaderGone(Exception):
    """Whoever read the output has gone, as in `longtask list | head`."""


class Problem(click.ClickException):
    """What happened, to what, and what to do now. Ends the command with exit code 4."""

    exit_code = UNABLE

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the message to stderr, without control characters of the cluster."""
        click.echo(f"error: {lines(self.message)}", file=file, err=True)
