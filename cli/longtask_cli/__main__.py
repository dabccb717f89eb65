"""Entry points: the program, and the completion of `kubectl longtask`."""

import sys

import click

from longtask_cli.ending import ending
from longtask_cli.program import program

NO_FILES = ":4"
"""Directive for kubectl's completion: offer no names of files (https://pkg.go.dev/github.com/spf13/cobra)."""


def main(name: str = "longtask") -> int:
    """Run the program with the arguments of the process, under the name it was called by; its exit code."""
    return ending(lambda: program.main(prog_name=name, standalone_mode=False))


def complete() -> int:
    """`kubectl_complete-longtask`: what may follow the arguments, as kubectl wants it."""
    return ending(_complete)


def _complete() -> None:
    from click.shell_completion import ShellComplete  # noqa: PLC0415 - for this only

    *arguments, incomplete = sys.argv[1:] or [""]
    for item in ShellComplete(program, {}, "kubectl longtask", "").get_completions(arguments, incomplete):
        click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(NO_FILES)


if __name__ == "__main__":
    sys.exit(main())
