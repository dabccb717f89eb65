"""`longtask doctor`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import aiohttp
import click
from rich.text import Text

from longtask_api import constants
from longtask_api.longtask import LongTaskSpec, LongTaskStatus
from longtask_api.template import LongTaskTemplateSpec
from longtask_cli.cluster import Cluster
from longtask_cli.commands.connect import fullname
from longtask_cli.kubeconfig import Connection
from longtask_cli.options import Call, cluster_options, console
from longtask_cli.problem import FAILED, Problem
from longtask_cli.state import UNATTENDED
from longtask_cli.text import duration, line
from longtask_runtime import clock
from longtask_runtime.kube import KubeError

Verdict = Literal["ok", "note", "wrong"]
MARKS: dict[Verdict, tuple[str, str]] = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("WRONG", "red")}
LEAST_KUBERNETES = (1, 31)
MCP_SECONDS = 5.0
TASKS, TEMPLATES = (f"{plural}.{constants.GROUP}" for plural in (constants.TASK_PLURAL, constants.TEMPLATE_PLURAL))
READS = {"get", "list", "watch"}
FAR_APART = 5.0
"""Seconds between the clocks of this machine and the cluster."""


@dataclass(frozen=True)
class Finding:
    """What one check has found; `mend` is what to do about it."""

    verdict: Verdict
    what: str
    mend: str = ""


@dataclass(frozen=True)
class Right:
    """A right that commands need, and which ones."""

    verb: str
    group: str
    resource: str
    needed_for: str


RIGHTS: Sequence[Right] = (
    *(Right(verb, constants.GROUP, constants.TASK_PLURAL, "list, watch, show, result, logs") for verb in sorted(READS)),
    Right("create", constants.GROUP, constants.TASK_PLURAL, "start"),
    Right("patch", constants.GROUP, constants.TASK_PLURAL, "answer, cancel, suspend, resume"),
    *(
        Right(verb, constants.GROUP, constants.TEMPLATE_PLURAL, "templates, start with checks")
        for verb in ("get", "list")
    ),
    Right("get", "", "pods/log", "logs of work that runs; without it the record's end of the log"),
    Right("get", "", "configmaps", "results and artifacts above 32 KiB"),
)


@click.command("doctor")
@click.option("--system-namespace", default="longtask-system", metavar="NAME", help="Namespace of the release.")
@click.option("--release", default="longtask", metavar="NAME", help="Name of the release.")
@click.option("--mcp-url", metavar="URL", help="The MCP server's URL; the default is the way through the API server.")
@cluster_options
def doctor_(call: Call, system_namespace: str, release: str, mcp_url: str | None) -> int:
    """Find out what is wrong between you and LongTask, and how to mend it. Exit code 1 if something is."""

    async def work(cluster: Cluster) -> int:
        found = Findings()
        if await _cluster(found, cluster) and await _definitions(found, cluster):
            await _rights(found, cluster)
            await _tasks(found, cluster)
            await _leader(found, cluster, system_namespace, f"{fullname(release)}-operator")
            await _mcp(found, cluster, system_namespace, f"{fullname(release)}-mcp", mcp_url)
        return FAILED if found.is_wrong else 0

    return call.run(work)


class Findings:
    """Prints each finding as it comes."""

    def __init__(self) -> None:
        self.is_wrong = False
        self._console = console()

    def add(self, verdict: Verdict, what: str, mend: str = "") -> None:
        """Print a finding; `mend` is what to do about it."""
        self.is_wrong |= verdict == "wrong"
        word, style = MARKS[verdict]
        self._console.print(Text(f"{word:<6}", style=style).append(line(what), style="default"))
        if mend:
            self._console.print(Text(f"{'':<6}{line(mend)}"))


async def _cluster(found: Findings, cluster: Cluster) -> bool:
    connection = cluster.connection
    where = f"context {connection.context}, {connection.server}"
    try:
        version = await cluster.ask("GET", "/version")
    except Problem as problem:
        found.add("wrong", f"{where}: {problem.message}", "Nothing else can be looked at")
        return False
    if "gitVersion" not in version:
        found.add("wrong", f"{where}: the answer is that of no API server", "Nothing else can be looked at")
        return False
    number = tuple(int("".join(filter(str.isdigit, str(version.get(part)))) or 0) for part in ("major", "minor"))
    if number < LEAST_KUBERNETES:
        found.add("wrong", f"{where}: Kubernetes {version['gitVersion']}", "LongTask needs 1.31 or later")
    else:
        found.add("ok", f"{where}: Kubernetes {version['gitVersion']}")
    skew = clock.CLOCK.skew
    if abs(skew) > FAR_APART:
        found.add(
            "note", f"this machine's clock is {abs(skew):.0f}s {'ahead of' if skew > 0 else 'behind'} the cluster's"
        )
    await _who(found, cluster, connection)
    return True


async def _who(found: Findings, cluster: Cluster, connection: Connection) -> None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        review = await cluster.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=body)
        user = ((review.get("status") or {}).get("userInfo") or {}).get("username", "unknown")
    except Problem as problem:
        if isinstance(problem.__cause__, KubeError) and problem.__cause__.status == 401:
            found.add("wrong", problem.message)
        user = "unknown"
    found.add("ok", f"you are {user}; namespace {connection.namespace} (from {connection.namespace_source})")


async def _definitions(found: Findings, cluster: Cluster) -> bool:
    """Whether the cluster knows our objects; their fields are compared with those that this program uses."""
    try:
        served = await cluster.request("GET", f"/openapi/v3/apis/{constants.API_VERSION}")
    except KubeError as error:
        if error.status == 404:
            found.add(
                "wrong",
                f"LongTask is not installed: the cluster does not serve {constants.API_VERSION}",
                "Choose another --context, or have it installed: helm install (docs/operate.md)",
            )
            return False
        found.add("note", f"the definitions cannot be looked at: {error.message}")
        return True
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        found.add("note", f"the definitions cannot be looked at: {cluster.problem(error).message}")
        return True
    missing = [
        f"{kind}.{part}.{field.alias}"
        for kind, part, model in (
            (constants.TASK_KIND, "spec", LongTaskSpec),
            (constants.TASK_KIND, "status", LongTaskStatus),
            (constants.TEMPLATE_KIND, "spec", LongTaskTemplateSpec),
        )
        for field in model.model_fields.values()
        if field.alias not in _properties(served, kind, part)
    ]
    if missing:
        found.add(
            "wrong",
            f"the cluster's definitions are older than this program: they lack {', '.join(missing)}",
            "Have the release upgraded, definitions included (docs/operate.md#upgrade), or use an older longtask",
        )
    else:
        found.add("ok", f"the cluster serves {constants.API_VERSION}, with all fields that this program knows")
    return True


def _properties(served: Any, kind: str, part: str) -> Any:
    key = ".".join([*reversed(constants.GROUP.split(".")), constants.VERSION, kind])
    schemas = (served.get("components") or {}).get("schemas") or {}
    return schemas.get(key, {}).get("properties", {}).get(part, {}).get("properties", {})


async def _rights(found: Findings, cluster: Cluster) -> None:
    allowed = await asyncio.gather(*(_may(cluster, right) for right in RIGHTS))
    missing = [right for right, may in zip(RIGHTS, allowed, strict=True) if may is False]
    unknown = [right for right, may in zip(RIGHTS, allowed, strict=True) if may is None]
    if unknown:
        found.add(
            "note", "your rights cannot be looked up: the cluster does not answer SelfSubjectAccessReviews for you"
        )
    if not missing and not unknown:
        found.add("ok", "you have the rights for all commands")
    for right in missing:
        is_basic = right.resource == constants.TASK_PLURAL and right.verb in READS
        found.add(
            "wrong" if is_basic else "note",
            f"you may not {right.verb} {right.resource} in namespace {cluster.namespace}: it is for {right.needed_for}",
        )
    if missing:
        found.add("note", "docs/cli.md has the Role with these rights, for an administrator to apply")


async def _may(cluster: Cluster, right: Right) -> bool | None:
    """Whether the user has the right; None if the cluster does not say."""
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": cluster.namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        review = await cluster.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
    except Problem:
        return None
    return bool((review.get("status") or {}).get("allowed"))


async def _tasks(found: Findings, cluster: Cluster) -> None:
    """Whether there is anything to start, and whether tasks are taken up."""
    namespace = cluster.namespace
    try:
        templates = await cluster.rows(constants.TEMPLATE_PLURAL, {})
        not_ready = [row.name for row in templates if row.cells.get("ready") != "True"]
        if not templates:
            found.add("note", f"namespace {namespace} has no templates", "Is it the task namespace? Choose it with -n")
        elif not_ready:
            found.add(
                "note",
                f"templates in namespace {namespace}: {len(templates)}, not Ready: {', '.join(sorted(not_ready)[:5])}",
                "longtask templates check NAME says why",
            )
        else:
            found.add("ok", f"templates in namespace {namespace}: {len(templates)}, all Ready")
    except Problem as problem:
        found.add("note", f"templates cannot be listed: {problem.message}")
    try:
        rows = await cluster.rows(constants.TASK_PLURAL, {})
    except Problem as problem:
        found.add("wrong", f"tasks cannot be listed: {problem.message}")
        return
    before = clock.now() - UNATTENDED
    waiting = [row for row in rows if not row.cells.get("phase") and datetime.fromisoformat(row.created) < before]
    if waiting:
        found.add(
            "wrong",
            f"tasks that no operator has taken up: {len(waiting)}, such as {waiting[0].name}",
            "No operator works for this namespace, or it does not lead: see the Lease below, and the operator's log",
        )
    else:
        found.add("ok", f"tasks in namespace {namespace}: {len(rows)}, and none waits for an operator")


async def _leader(found: Findings, cluster: Cluster, namespace: str, name: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"
    try:
        lease = await cluster.request("GET", path)
    except KubeError as error:
        if error.status == 404:
            found.add(
                "wrong",
                f"there is no Lease {name} in namespace {namespace}, so no operator has ever led there",
                "Name the release's namespace with --system-namespace; kubectl get pods there shows the operator",
            )
        else:
            found.add("note", f"whether an operator leads cannot be seen: {error.message}")
        return
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        found.add("note", f"whether an operator leads cannot be seen: {cluster.problem(error).message}")
        return
    found.add(*judged(lease.get("spec") or {}, name, clock.now()))


def judged(spec: dict[str, Any], name: str, now: datetime) -> tuple[Verdict, str, str]:
    """What a Lease says of the operator."""
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    mend = "Look at the operator's pods and their log (docs/troubleshooting.md#nothing-moves-at-all)"
    if not holder or not renewed:
        return "wrong", f"nobody holds the Lease {name}: no operator leads, and no task moves", mend
    ago = now - datetime.fromisoformat(renewed)
    if ago > timedelta(seconds=2 * int(spec.get("leaseDurationSeconds") or 15)):
        return "wrong", f"{holder} last renewed the Lease {name} {duration(ago)} ago: no operator leads", mend
    return "ok", f"operator {holder} leads; it renewed its Lease {duration(ago)} ago", ""


async def _mcp(found: Findings, cluster: Cluster, namespace: str, service: str, url: str | None) -> None:
    if url is not None:
        found.add(*await _asked(url))
        return
    path = f"/api/v1/namespaces/{namespace}/services/{service}:mcp/proxy/mcp"
    hint = "longtask connect shows the port-forward; then longtask doctor --mcp-url http://127.0.0.1:8080/mcp"
    try:
        await cluster.request("GET", path, proxied=True)
        found.add("ok", f"the MCP server answers at service {service} in namespace {namespace}")
    except KubeError as error:
        if error.status == 403 and error.reason == "Forbidden":
            found.add("note", f"the MCP server cannot be looked at: {error.message}", hint)
        elif error.status in (404, 503):
            found.add("wrong", f"the MCP server does not answer: {error.message}", "Look at the pods of the MCP server")
        else:  # it refuses a call without a token, so it is there
            found.add("ok", f"the MCP server answers at service {service} in namespace {namespace}")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        found.add("note", f"the MCP server cannot be looked at: {cluster.problem(error).message}", hint)


async def _asked(url: str) -> tuple[Verdict, str, str]:
    """What a call without a token says of the MCP server at that URL."""
    timeout = aiohttp.ClientTimeout(total=MCP_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json={}) as response:
            code = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        why = str(error) or "no answer in time"
        return "wrong", f"the MCP server at {url} cannot be reached: {why}", "Is the port-forward still running?"
    if code in (400, 401, 406):
        return "ok", f"the MCP server answers at {url}", ""
    return "wrong", f"{url} answers {code}: it is no MCP server of LongTask, or not ready", "The URL ends with /mcp"
