"""The program `longtask`, and `kubectl longtask`: its commands, each loaded when it is called."""

import importlib
from typing import Any, Final

import click

from longtask_cli.problem import ReaderGone

COMMANDS: Final = {
    "start": ("start", "Start a task of a template."),
    "list": ("listing", "List tasks, the newest first."),
    "watch": ("watch", "Follow tasks until they have ended."),
    "show": ("show", "Show one task: what happened to it, what it waits for, how it ended."),
    "logs": ("logs", "Print the log of a task, also after its pod is gone."),
    "result": ("result", "Print the result of a task."),
    "artifacts": ("artifacts", "List or download what a task left beside its result."),
    "answer": ("answer", "Answer a question of a task."),
    "cancel": ("control", "End tasks; their log is kept."),
    "suspend": ("control", "Stop tasks until they are resumed."),
    "resume": ("control", "Let suspended tasks go on."),
    "templates": ("templates", "List, show and check the kinds of work that can be started."),
    "doctor": ("doctor", "Find out what is wrong between you and LongTask."),
    "connect": ("connect", "Print how to connect an agent's client."),
    "completion": ("completion", "Print the completion script of a shell."),
}
"""Module and help of each command."""
SDK: Final = {
    "run": "Run a task's function locally, or in its pod (`longtask run --help`).",
    "template": "Make a template of a task's function (`longtask template --help`).",
}
"""Commands of the SDK, which need nothing of this package."""


class Commands(click.Group):
    """Loads the module of a command when it is called: each costs what it imports."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. A broken pipe is no OSError to click, which would end the program with exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"longtask_cli.commands.{module}"), cmd_name + "_")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        with formatter.section("For authors"):
            formatter.write_dl(list(SDK.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Also says which command may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # noqa: PLC0415 - for a mistake only

            close = difflib.get_close_matches(args[0], [*COMMANDS, *SDK], n=2)
            if close:
                raise click.UsageError(
                    f"there is no command {args[0]!r}. Did you mean {' or '.join(close)}?", ctx
                ) from error
            raise click.UsageError(f"there is no command {args[0]!r}", ctx) from error


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, or the task succeeded; 1 the task failed; 2 wrong usage; 3 it was cancelled; 4 the "
    "command could not be carried out; 5 --timeout is over; 130 Ctrl-C.",
)
@click.version_option(package_name="longtask-sdk", message="longtask %(version)s")
def program() -> None:
    """Durable work on Kubernetes: start tasks, follow them, read what came of them.

    TASK is the name of a task, or its ID.
    """
