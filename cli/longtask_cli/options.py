"""What all commands share: the options of the cluster, the output, and how a command asks the cluster."""

import asyncio
import functools
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast

import click
from click.shell_completion import CompletionItem
from rich.console import Console

from longtask_api import constants
from longtask_cli.cluster import Cluster, cluster
from longtask_cli.kubeconfig import Chosen, contexts
from longtask_cli.problem import Problem
from longtask_cli.text import line

P = ParamSpec("P")
T = TypeVar("T")
KIND = f"longtask.{constants.GROUP}"
"""How `-o name` calls a task, as kubectl does."""
COMPLETE_SECONDS = 3.0
"""How long completion may ask the cluster, in seconds."""


def console(stream: str = "stdout") -> Console:
    """A console that writes colours to a terminal only; NO_COLOR and a dumb terminal are respected by rich."""
    return Console(
        stderr=stream == "stderr", highlight=False, markup=False, emoji=False, soft_wrap=True, legacy_windows=False
    )


def note(message: str) -> None:
    """A line for the person on stderr, apart from the output."""
    click.echo(message, err=True)


class Call:
    """One run of a command: what the options say, and a cluster when it is asked for."""

    def __init__(self, chosen: Chosen) -> None:
        self.chosen = chosen

    def run(self, work: Callable[[Cluster], Coroutine[Any, Any, T]]) -> T:
        """Run `work` with the cluster. Raises Problem; Ctrl-C ends it with KeyboardInterrupt."""

        async def connected() -> T:
            with _ended_by_sigterm():
                async with cluster(self.chosen) as there:
                    return await work(there)

        logging.getLogger().addHandler(logging.NullHandler())
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio cancels the work for it
        return asyncio.run(connected())


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM cancels the work as Ctrl-C does, so that the terminal is left as it was."""
    loop, task = asyncio.get_running_loop(), cast("asyncio.Task[Any]", asyncio.current_task())
    try:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows, or another thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that asks the cluster; the command gets a Call as its first argument."""

    @functools.wraps(command)
    def called(kubeconfig: str | None, context: str | None, namespace: str | None, **given: Any) -> Any:
        return command(Call(Chosen(kubeconfig, context, namespace)), **given)

    for option in (
        click.option("--kubeconfig", metavar="FILE", help="Kubeconfig; the default is KUBECONFIG, or ~/.kube/config."),
        click.option("--context", metavar="NAME", shell_complete=complete_context, help="Context of the kubeconfig."),
        click.option(
            "-n",
            "--namespace",
            metavar="NAME",
            help="Namespace of the tasks; the default is LONGTASK_NAMESPACE, the context's, or longtask-tasks.",
        ),
    ):
        called = option(called)
    return called


def output_option(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """-o with these formats, as `output`."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), metavar="FORMAT", help=f"Output: {', '.join(formats)}."
    )


def complete_context(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Contexts that begin so."""
    try:
        return [each for each in contexts(Chosen()) if each.startswith(incomplete)]
    except Problem:
        return []


def complete_task(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Tasks that begin so, the newest first, with their phases."""
    rows = sorted(_completed(context, constants.TASK_PLURAL, incomplete), key=lambda each: each.created, reverse=True)
    return [CompletionItem(each.name, help=each.cells.get("phase", "")) for each in rows]


def complete_template(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Templates that begin so, with their titles."""
    rows = _completed(context, constants.TEMPLATE_PLURAL, incomplete)
    return [CompletionItem(each.name, help=line(each.cells.get("title", ""))) for each in rows]


def given_call(context: click.Context) -> Call:
    """A call with the options that were typed so far, for completion."""
    given = context.params
    return Call(Chosen(given.get("kubeconfig"), given.get("context"), given.get("namespace")))


def _completed(context: click.Context, plural: str, incomplete: str) -> list[Any]:
    """Rows of the cluster that begin so; none where it does not answer soon."""

    async def ask(there: Cluster) -> list[Any]:
        async with asyncio.timeout(COMPLETE_SECONDS):
            return [row for row in await there.rows(plural, {}) if row.name.startswith(incomplete)]

    try:
        return given_call(context).run(ask)
    except (Problem, TimeoutError):
        return []
