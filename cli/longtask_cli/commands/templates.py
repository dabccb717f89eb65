"""`longtask templates`."""

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import ValidationError
from rich.text import Text

from longtask_api import constants
from longtask_api.checking import check_value_schema
from longtask_api.mcp_names import FIXED_TOOLS
from longtask_api.parameters import check_schema
from longtask_api.template import LongTaskTemplate
from longtask_cli.cluster import Cluster, template_of
from longtask_cli.documents import listed, written
from longtask_cli.kubeconfig import USER_AGENT
from longtask_cli.options import Call, cluster_options, complete_template, console, note, output_option
from longtask_cli.problem import FAILED, Problem
from longtask_cli.state import ready
from longtask_cli.table import STYLES, table
from longtask_cli.text import age, line, lines
from longtask_runtime import clock
from longtask_runtime.kube import APPLY_PATCH, KubeError

KIND = f"longtasktemplate.{constants.GROUP}"
UNDECLARED = "field not declared in schema"
"""In the API server's answer to an apply with a misspelt field, which is a 500."""
COLUMNS = ("name", "title", "ready", "reason", "age")
WIDE = (*COLUMNS, "message")


@click.group("templates")
def templates_() -> None:
    """List, show and check the kinds of work that can be started."""


@templates_.command("list")
@output_option("wide", "name", "json", "yaml")
@cluster_options
def list_(call: Call, output: str | None) -> None:
    """List templates."""

    async def work(cluster: Cluster) -> None:
        if output in ("json", "yaml"):
            async for piece in listed(cluster.documents(constants.TEMPLATE_PLURAL, {}), output):
                click.echo(piece, nl=False)
            return
        rows = sorted(await cluster.rows(constants.TEMPLATE_PLURAL, {}), key=lambda row: row.name)
        if output == "name":
            click.echo("".join(f"{KIND}/{row.name}\n" for row in rows), nl=False)
            return
        if not rows:
            note(f"No templates found in namespace {cluster.namespace}.")
            return
        names, out = WIDE if output == "wide" else COLUMNS, console()
        own = [{"name": row.name, "age": age(datetime.fromisoformat(row.created), clock.now())} for row in rows]
        cells = [[{**row.cells, **more}.get(name, "") for name in names] for row, more in zip(rows, own, strict=True)]
        for each in table([name.upper() for name in names], cells, out.width if out.is_terminal else None):
            out.print(each)

    call.run(work)


@templates_.command("show")
@click.argument("template", shell_complete=complete_template)
@output_option("json", "yaml")
@cluster_options
def show_(call: Call, template: str, output: str | None) -> None:
    """Show what a template does, what it takes, and how to start it."""

    async def work(cluster: Cluster) -> None:
        name = template.replace("_", "-")
        document = await cluster.document(constants.TEMPLATE_PLURAL, name, exactly=True)
        if output is not None:
            click.echo(written(document, output), nl=False)
            return
        out = console()
        for each in shown(template_of(document)):
            out.print(each)

    call.run(work)


@templates_.command("check")
@click.argument("file", metavar="NAME|FILE", shell_complete=complete_template)
@cluster_options
def check_(call: Call, file: str) -> int:
    """Check a template: one of the cluster by its NAME, or one in a FILE before it is applied.

    The cluster checks a file too, without creating anything, if you may create templates; the pod itself is checked
    by the operator, once the template is applied. Exit code 1 if something is wrong.
    """
    is_file = file == "-" or Path(file).suffix in (".yaml", ".yml", ".json") or Path(file).is_file()
    return call.run(lambda cluster: _check_file(cluster, file) if is_file else _check_named(cluster, file))


async def _check_named(cluster: Cluster, name: str) -> int:
    template = await cluster.template(name)
    word, why = ready(template)
    if word == "True":
        click.echo(f"{KIND}/{template.metadata.name} is Ready")
        return 0
    click.echo(f"{KIND}/{template.metadata.name} is not Ready: {lines(why)}")
    return FAILED


async def _check_file(cluster: Cluster, file: str) -> int:
    found = _documents(file)
    if not found:
        raise Problem(f"{file} has no LongTaskTemplate")
    wrong = 0
    for document in found:
        name = str((document.get("metadata") or {}).get("name", ""))
        problems = _problems(document) or await _dry_run(cluster, document, name)
        for problem in problems:
            click.echo(f"{file}: {name or 'a template'}: {lines(problem)}")
        if not problems:
            click.echo(f"{file}: {name} fits")
        wrong += bool(problems)
    return FAILED if wrong else 0


def _documents(file: str) -> list[dict[str, Any]]:
    """The templates of a file of YAML or JSON. Raises Problem."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        loaded = list(yaml.safe_load_all(text))
    except OSError as error:
        raise Problem(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(f"{file} is not YAML: {error}") from error
    return [each for each in loaded if isinstance(each, dict) and each.get("kind") == constants.TEMPLATE_KIND]


def _problems(document: dict[str, Any]) -> list[str]:
    """What is wrong with a template, as far as it can be said without a cluster."""
    try:
        template = LongTaskTemplate.from_api(document)
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        ]
    spec, name = template.spec, template.metadata.name
    problems = [f"parametersSchema: {problem}" for problem in check_schema(spec.parameters_schema)]
    problems += [f"resultSchema: {problem}" for problem in check_value_schema(spec.result_schema or {})]
    if constants.tool_name(name) in FIXED_TOOLS:
        problems.append(f"the name {name!r} is that of one of LongTask's own tools; choose another")
    return problems


async def _dry_run(cluster: Cluster, document: dict[str, Any], name: str) -> list[str]:
    """What the API server says against the template; empty also if it may not be asked."""
    query = {"dryRun": "All", "fieldValidation": "Strict", "fieldManager": USER_AGENT, "force": "true"}
    path = cluster.path(constants.TEMPLATE_PLURAL, name)
    metadata = {key: value for key, value in document["metadata"].items() if key != "namespace"}
    try:
        body = document | {"metadata": metadata}
        await cluster.ask("PATCH", path, body=body, content_type=APPLY_PATCH, query=query)
    except Problem as problem:
        cause = problem.__cause__
        if not isinstance(cause, KubeError):
            raise
        if cause.status == 403:
            note(f"note: the cluster did not check it: {cause.message}")
            return []
        if cause.status in (400, 422) or UNDECLARED in cause.message:
            return [cause.message]
        raise
    return []


def shown(template: LongTaskTemplate) -> Iterator[Text]:
    """The lines of `longtask templates show`."""
    spec, name = template.spec, template.metadata.name
    word, why = ready(template)
    yield Text("Name:        ", style="bold").append(name, style="not bold")
    yield Text("Title:       ", style="bold").append(line(template.title), style="not bold")
    head = Text("Ready:       ", style="bold").append(word, style=STYLES.get(word, "not bold"))
    yield head.append(f": {line(why)}" if why else "", style="not bold")
    yield Text()
    yield from (Text(f"  {each}") for each in lines(spec.description).strip("\n").split("\n"))
    yield Text()
    properties = spec.parameters_schema.get("properties") or {}
    required = spec.parameters_schema.get("required") or []
    yield Text("Parameters:" if properties else "Parameters: none", style="bold")
    for key, schema in properties.items():
        yield Text(f"  {line(key)}", style="bold").append(f"  {_described(schema, key in required)}", style="not bold")
    example = " ".join(f"{line(key)}=..." for key in properties if key in required)
    yield Text()
    yield Text(f"longtask start {name} {example}".rstrip(), style="dim")


def _described(schema: Any, is_required: bool) -> str:
    """A parameter in a line: type, limits, default and description."""
    if not isinstance(schema, Mapping):
        return "any"
    shown_keys = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern")
    kind = schema.get("type", "")
    words = [kind if isinstance(kind, str) else " or ".join(map(str, kind))]
    if "enum" in schema:
        words.append("one of " + ", ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"]))
    if "format" in schema:
        words.append(f"format {schema['format']}")
    words += [f"{key} {schema[key]}" for key in shown_keys if key in schema]
    if "default" in schema:
        words.append(f"default {json.dumps(schema['default'], ensure_ascii=False)}")
    if is_required:
        words.append("required")
    text = ", ".join(word for word in words if word)
    described = schema.get("description")
    return line(f"{text or 'any'}. {described}" if described else text or "any")
