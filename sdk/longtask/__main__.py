"""`longtask`, or `python -m longtask`: runs a task, or makes a template of it.

The other commands are for people with a kubeconfig: package longtask_cli, which needs the extra `cli`.
"""

import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130
"""Exit code of a shell after SIGINT."""
USAGE = """\
usage: longtask run MODULE:FUNCTION
           Run a task; its parameters are the JSON in LONGTASK_PARAMETERS. In a pod it reports to LongTask; elsewhere
           progress is on stderr and the result, JSON, on stdout.
       longtask template MODULE:FUNCTION [--image IMAGE | --check FILE | --update FILE]
           Write the LongTaskTemplate that makes it a tool to stdout, or look whether the one in FILE still fits, or
           bring it up to date; more with --help.
"""
EXTRA = (
    "The commands for people (start, list, watch, show, ...) come with the extra cli: pip install 'longtask-sdk[cli]'"
)


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
        case ["run", "-h" | "--help"]:
            sys.stdout.write(USAGE)
        case ["run", target, *_] if not target.startswith("-"):
            _refuse(
                f"a run takes no arguments but the function; its parameters are JSON in a variable: "
                f'LONGTASK_PARAMETERS=\'{{"name": "value"}}\' longtask run {target}'
            )
        case ["run", *_]:
            _refuse("the function is missing: longtask run MODULE:FUNCTION")
        case arguments:
            _for_people(arguments)


def complete() -> None:
    """`kubectl_complete-longtask`, which kubectl runs to complete `kubectl longtask`."""
    try:
        from longtask_cli.__main__ import complete as completed  # noqa: PLC0415
    except ModuleNotFoundError:
        sys.exit(0)
    sys.exit(completed())


def _for_people(arguments: list[str]) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the program asks a cluster: an import may lose a Ctrl-C
    try:
        from longtask_cli.__main__ import main as program  # noqa: PLC0415

        code = program("kubectl longtask" if os.path.basename(sys.argv[0]).startswith("kubectl") else "longtask")
    except ModuleNotFoundError as error:
        _without_extra(arguments, error)
    except KeyboardInterrupt:  # once more, at its end
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is left to do removes files of credentials
    sys.exit(code)


def _without_extra(arguments: list[str], missing: ModuleNotFoundError) -> NoReturn:
    match arguments:
        case ["-h" | "--help"]:
            sys.stdout.write(f"{USAGE}{EXTRA}\n")
            sys.exit(0)
        case [command, *_] if not command.startswith("-"):
            _refuse(f"{command!r} is no command here: write run or template. {EXTRA} ({missing})")
        case _:
            _refuse("")


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(USAGE + (f"longtask: {problem}\n" if problem else ""))
    sys.exit(2)


if __name__ == "__main__":
    main()
