"""`longtask start`."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import click
from click.shell_completion import CompletionItem

from longtask_api import constants
from longtask_api.canonical import digest_of
from longtask_api.longtask import LongTask
from longtask_api.parameters import InvalidParameters, check_size, complete
from longtask_api.template import LongTaskTemplate
from longtask_cli.cluster import Cluster, task_of
from longtask_cli.documents import written
from longtask_cli.options import (
    KIND,
    Call,
    cluster_options,
    complete_template,
    console,
    given_call,
    note,
    output_option,
)
from longtask_cli.problem import Problem
from longtask_cli.starts import document, is_of_key, names
from longtask_cli.state import phase, ready
from longtask_cli.text import line
from longtask_cli.values import BadValue, parameters
from longtask_cli.wait import wait
from longtask_runtime.kube import KubeError, is_unanswered

MAX_NAMES = 20
"""Names that one start tries."""
SENDS = 3
"""How often a create is sent under one name that got no answer."""
RETRY_SECONDS = 0.5


def _complete_parameter(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`NAME=` for each parameter of the template, and the values that a schema lists."""
    name, template = context.params.get("template"), None
    given = {word.partition("=")[0].rstrip(":") for word in context.params.get("words") or ()}

    async def ask(cluster: Cluster) -> LongTaskTemplate:
        return await cluster.template(str(name))

    try:
        template = given_call(context).run(ask) if name else None
    except Problem:
        return []
    properties = (template.spec.parameters_schema.get("properties") or {}) if template is not None else {}
    before, sign = incomplete.partition("=")[:2]
    if sign:
        schema = properties.get(before)
        values = schema.get("enum") or [] if isinstance(schema, Mapping) else []
        texts = [f"{before}={each if isinstance(each, str) else json.dumps(each)}" for each in values]
        return [CompletionItem(each) for each in texts if each.startswith(incomplete) and each.isprintable()]
    return [
        CompletionItem(f"{each}=", help=line(str(schema.get("description", ""))))
        for each, schema in properties.items()
        if each.startswith(incomplete) and each not in given and isinstance(schema, Mapping)
    ]


@click.command("start")
@click.argument("template", shell_complete=complete_template)
@click.argument("words", metavar="[NAME=VALUE]...", nargs=-1, shell_complete=_complete_parameter)
@click.option("--wait", "waits", is_flag=True, help="Wait for the end; the exit code is then the task's.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="With --wait: stop waiting then.")
@click.option(
    "--idempotency-key",
    "key",
    metavar="KEY",
    help="Your name for this start: starting again with it finds the same task, for as long as the task exists.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, also by the cluster, and start nothing.")
@output_option("name", "json", "yaml")
@cluster_options
def start_(
    call: Call,
    template: str,
    words: Sequence[str],
    waits: bool,
    timeout: float | None,
    key: str | None,
    dry_run: bool,
    output: str | None,
) -> int:
    """Start a task of a template.

    \b
    NAME=VALUE    text, or a number, true, null ... where the template wants one
    NAME:=JSON    any JSON, such as layers:='[64, 32]'
    NAME=@FILE    the content of a file; NAME:=@FILE if it is JSON; - is stdin
    """
    if key is not None and not 1 <= len(key) <= 128:
        raise click.BadParameter("a key has 1 to 128 characters", param_hint="--idempotency-key")

    async def work(cluster: Cluster) -> int:
        task, was_there = await _start(cluster, template, words, key, dry_run=dry_run)
        _say(task, output, was_there=was_there, dry_run=dry_run)
        return await wait(cluster, [task], console("stderr"), timeout) if waits and not dry_run else 0

    return call.run(work)


async def _start(
    cluster: Cluster, name: str, words: Sequence[str], key: str | None, *, dry_run: bool
) -> tuple[LongTask, bool]:
    """The task, and whether an earlier start with the key had made it."""
    template = await _template(cluster, name)
    schema = template.spec.parameters_schema if template is not None else {}
    name = template.metadata.name if template is not None else name
    try:
        given = parameters(schema, words, _file)
        digest = _digest(given) if key is not None else None
    except BadValue as error:
        raise Problem(f"{error}; nothing was started") from error
    if key is not None:
        earlier = await _earlier(cluster, name, key, digest)
        if earlier is not None:
            return earlier, True
    completed = _completed(template, given) if template is not None else given
    return await _create(cluster, name, completed, key, digest, dry_run=dry_run)


async def _template(cluster: Cluster, name: str) -> LongTaskTemplate | None:
    """The template, which must be Ready; None if the person may not read templates: the operator checks then."""
    try:
        template = await cluster.template(name)
    except Problem as problem:
        cause = problem.__cause__
        if isinstance(cause, KubeError) and cause.status == 403:
            note(f"note: you may not read templates, so the values are not checked here: {cause.message}")
            return None
        raise
    word, why = ready(template)
    if word != "True":
        raise Problem(f"template {template.metadata.name} is not Ready: {why}. Nothing was started")
    return template


def _completed(template: LongTaskTemplate, given: dict[str, Any]) -> dict[str, Any]:
    name = template.metadata.name
    try:
        return complete(template.spec.parameters_schema, given)
    except InvalidParameters as invalid:
        lines = "".join(f"\n- {error}" for error in invalid.errors)
        raise Problem(
            f"The parameters do not fit {name}; nothing was started:{lines}\n`longtask templates show {name}` shows "
            "what it takes"
        ) from invalid
    except ValueError as error:
        raise Problem(f"parameters: {error}; nothing was started") from error


def _digest(given: Mapping[str, Any]) -> str:
    try:
        check_size(given)
        return digest_of(given)
    except ValueError as error:
        raise BadValue(f"parameters: {error}") from error


async def _earlier(cluster: Cluster, template: str, key: str, digest: str | None) -> LongTask | None:
    """The task of an earlier start with this key. Raises Problem if that had other parameters."""
    for name in islice(names(template, key), MAX_NAMES):
        found = await cluster.named(constants.TASK_PLURAL, name)
        if found is None:
            return None
        task = task_of(found)
        if is_of_key(task, template, key):
            return _same(task, key, digest)
    return None


def _same(task: LongTask, key: str, digest: str | None) -> LongTask:
    if task.metadata.annotations.get(constants.ANNOTATION_GIVEN) != digest:
        raise Problem(
            f"the key {key!r} was used for {task.metadata.name}, which has other parameters; nothing was started. "
            f"`longtask show {task.metadata.name}` shows them; use another key for other work"
        )
    return task


async def _create(
    cluster: Cluster,
    template: str,
    completed: Mapping[str, Any],
    key: str | None,
    digest: str | None,
    *,
    dry_run: bool,
) -> tuple[LongTask, bool]:
    query = {"dryRun": "All"} if dry_run else {}
    for name in islice(names(template, key), MAX_NAMES):
        body = document(name, template, completed, key, digest)
        try:
            created, sends = await _sent(cluster, body, query)
        except KubeError as error:
            raise _refused(cluster, error) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            problem = cluster.problem(error)
            raise Problem(
                f"{problem.message}. It is not known whether the task {name} was created: `longtask show {name}`"
            ) from error
        if created is not None:
            return task_of(created), False
        found = await cluster.named(constants.TASK_PLURAL, name)
        task = task_of(found) if found is not None else None
        if task is None:
            continue
        if key is not None and is_of_key(task, template, key):
            return _same(task, key, digest), True
        if key is None and sends > 1:  # the first request had made it
            return task, False
    raise Problem(f"the {MAX_NAMES} names that were tried are taken; nothing was started. Try again")


async def _sent(cluster: Cluster, body: Any, query: Mapping[str, str]) -> tuple[Any, int]:
    """What the cluster has created, None if the name is taken; and how often it was sent."""
    sends = 0
    while True:
        sends += 1
        try:
            return await cluster.request("POST", cluster.path(constants.TASK_PLURAL), body=body, query=query), sends
        except KubeError as error:
            if error.reason == "AlreadyExists":
                return None, sends
            if not is_unanswered(error) or sends == SENDS:
                raise
        except aiohttp.ClientConnectorError:
            raise  # nothing was sent
        except (aiohttp.ClientError, TimeoutError, OSError):
            if sends == SENDS:
                raise
        await asyncio.sleep(RETRY_SECONDS * sends)


def _refused(cluster: Cluster, error: KubeError) -> Problem:
    problem = cluster.problem(error)
    if error.status == 404:
        return Problem(f"namespace {cluster.namespace} cannot hold tasks: {error.message}. Choose another with -n")
    return problem


def _file(name: str) -> str:
    """The text of a file, or of stdin."""
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).expanduser().open("rb") as file:
            content = file.read(constants.MAX_PARAMETERS_BYTES + 1)
        if len(content) > constants.MAX_PARAMETERS_BYTES:
            raise BadValue(
                f"{name} has more than the {constants.MAX_PARAMETERS_BYTES} bytes that parameters may have: pass a "
                "reference to what is larger"
            )
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadValue(f"{name} is not text in UTF-8: pass a reference to binary data") from error
    except OSError as error:
        raise BadValue(f"{name} cannot be read: {error.strerror}") from error


def _say(task: LongTask, output: str | None, *, was_there: bool, dry_run: bool) -> None:
    if output in ("json", "yaml"):
        click.echo(written(task.to_api(), output), nl=False)
    elif output == "name":
        click.echo(f"{KIND}/{task.metadata.name}")
    else:
        done = f"was already started ({phase(task)})" if was_there else "started"
        click.echo(f"{KIND}/{task.metadata.name} {'would be started (dry run)' if dry_run else done}")
