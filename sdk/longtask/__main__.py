"""`longtask`, or `python -m longtask`: runs a task, or makes a template of it."""

import os
import sys
from typing import NoReturn

USAGE = """\
usage: longtask run MODULE:FUNCTION
           Run a task; its parameters are the JSON in LONGTASK_PARAMETERS. In a pod it reports to LongTask; elsewhere
           progress is on stderr and the result, JSON, on stdout.
       longtask template MODULE:FUNCTION [--image IMAGE | --check FILE | --update FILE]
           Write the LongTaskTemplate that makes it a tool to stdout, or look whether the one in FILE still fits, or
           bring it up to date; more with --help.
"""


def main() -> None:
    """Entry point of the console script. Exits with the code of the command, or 2 for wrong arguments."""
    match sys.argv[1:]:
        case ["run", target] if not target.startswith("-"):
            from longtask.ending import end  # noqa: PLC0415 - each command loads what it needs
            from longtask.run import run  # noqa: PLC0415

            end(run(target, os.environ))
        case ["template", *arguments]:
            from longtask.template import main as template  # noqa: PLC0415

            sys.exit(template(arguments))
        case ["-h" | "--help"] | ["run", "-h" | "--help"]:
            sys.stdout.write(USAGE)
        case ["run", target, *_] if not target.startswith("-"):
            _refuse(
                f"a run takes no arguments but the function; its parameters are JSON in a variable: "
                f'LONGTASK_PARAMETERS=\'{{"name": "value"}}\' longtask run {target}'
            )
        case ["run", *_]:
            _refuse("the function is missing: longtask run MODULE:FUNCTION")
        case [command, *_] if not command.startswith("-"):
            _refuse(f"{command!r} is no command: write run or template")
        case _:
            _refuse("")


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(USAGE + (f"longtask: {problem}\n" if problem else ""))
    sys.exit(2)


if __name__ == "__main__":
    main()
