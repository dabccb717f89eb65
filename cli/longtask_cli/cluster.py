"""LongTasks and templates in the cluster, for a person: reads, writes, and every refusal in words."""

import asyncio
import difflib
import random
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Unpack

import aiohttp
from pydantic import ValidationError

from longtask_api import constants
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_cli.kubeconfig import Chosen, Connection, connect
from longtask_cli.problem import Problem
from longtask_runtime import kube

TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
"""A list as its printed columns: without parameters, results and logs
(https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables)."""
PAGE: Final = 500
FULL_PAGE: Final = 50
"""Whole objects in a page: each has up to 1.5 MB."""
MAX_SUGGESTED: Final = 3
MIN_PREFIX: Final = 4
"""Characters of an id, at least, by which a task may be read."""
TRIES: Final = 5
"""Requests for one read, over some seconds."""
UID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KINDS: Final = {constants.TASK_PLURAL: "task", constants.TEMPLATE_PLURAL: "template"}


@dataclass(frozen=True)
class Row:
    """One object as a list shows it; `cells` are the printed columns by their lower-case names."""

    namespace: str
    name: str
    uid: str
    created: str
    """RFC 3339, so that texts sort like times."""
    cells: Mapping[str, str]


@asynccontextmanager
async def cluster(chosen: Chosen) -> AsyncIterator["Cluster"]:
    """The chosen cluster. Raises Problem."""
    connection = await connect(chosen)
    try:
        yield Cluster(connection)
    finally:
        await connection.client.close()
        await asyncio.sleep(0.01)  # the loop closes connections of TLS a moment after they are told to


class Cluster:
    """One namespace of a cluster. Every method raises Problem if the cluster refuses or does not answer."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.namespace = connection.namespace

    def path(self, plural: str, name: str | None = None, *, everywhere: bool = False) -> str:
        """Path of a collection of ours, or of one object; `everywhere` is the collection of all namespaces."""
        within = "" if everywhere else f"/namespaces/{self.namespace}"
        return f"/apis/{constants.API_VERSION}{within}/{plural}" + (f"/{name}" if name is not None else "")

    async def request(self, verb: kube.Verb, path: str, **options: Unpack[kube.Options]) -> Any:
        """One request, as `kube.request`; a read is tried several times, and expired credentials are read again."""
        tried = 0
        while True:
            tried += 1
            may_try_again = verb == "GET" and tried < TRIES
            try:
                return _object(await kube.request(self.connection.client, verb, path, **options))
            except kube.KubeError as error:
                if error.status == 401 and tried == 1:
                    await self.connection.renew()
                    continue
                if not (_is_passing(error) and may_try_again):
                    raise
            except (aiohttp.ClientConnectorError, ssl.SSLError):
                raise  # nobody is there
            except (aiohttp.ClientError, TimeoutError):
                if not may_try_again:
                    raise
            await asyncio.sleep(random.uniform(0.1, 0.25) * 2**tried)  # noqa: S311 - jitter

    async def ask(self, verb: kube.Verb, path: str, **options: Unpack[kube.Options]) -> Any:
        """As `request`, with every error as a Problem."""
        try:
            return await self.request(verb, path, **options)
        except (kube.KubeError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self.problem(error) from error

    async def rows(self, plural: str, query: Mapping[str, str], *, everywhere: bool = False) -> list[Row]:
        """A list as rows, read page by page."""
        path = self.path(plural, everywhere=everywhere)
        try:
            return await self._rows(path, {**query, "limit": str(PAGE)})
        except kube.KubeError as error:
            if error.status != 410:
                raise self._of_a_list(error, plural) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self.problem(error) from error
        return await self._ask_rows(path, query)  # the pages took longer than the cluster keeps them

    async def _ask_rows(self, path: str, query: Mapping[str, str]) -> list[Row]:
        try:
            return await self._rows(path, query)
        except (kube.KubeError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self.problem(error) from error

    async def _rows(self, path: str, query: Mapping[str, str]) -> list[Row]:
        found: list[Row] = []
        token, columns = "", list[str]()
        while True:
            page = await self.request("GET", path, query=_continued(query, token), accept=TABLE)
            columns = [each["name"].lower() for each in _items(page, "columnDefinitions")] or columns
            found += [_row(each, columns) for each in _items(page, "rows")]
            token = (page.get("metadata") or {}).get("continue", "")
            if not token:
                return found

    async def documents(
        self, plural: str, query: Mapping[str, str], *, everywhere: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """Whole objects in the order of the API server, a page of them in memory."""
        path, token = self.path(plural, everywhere=everywhere), ""
        while True:
            full = _continued({**query, "limit": str(FULL_PAGE)}, token)
            try:
                page = await self.request("GET", path, query=full)
            except kube.KubeError as error:
                raise self._of_a_list(error, plural) from error
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise self.problem(error) from error
            kind = str(page.get("kind", "")).removesuffix("List")
            for item in _items(page, "items"):
                item["metadata"].pop("managedFields", None)
                yield {"apiVersion": constants.API_VERSION, "kind": kind, **item}
            token = (page.get("metadata") or {}).get("continue", "")
            if not token:
                return

    async def document(self, plural: str, name: str, *, exactly: bool = False) -> dict[str, Any]:
        """The object that `name` means: its name, `longtask/NAME`, its id, or for reads the only one that begins so.

        `exactly` refuses such a beginning: a change must not meet another object than the one that was meant.
        """
        wanted = name.rpartition("/")[2].strip()
        if not wanted:
            raise Problem(f"{name!r} is no name of a {KINDS[plural]}")
        found = await self.named(plural, wanted)
        if found is not None:
            return found
        match = self._meant(wanted, await self.rows(plural, {}), KINDS[plural], exactly=exactly)
        found = await self.named(plural, match.name)
        if found is None:
            raise Problem(f"{KINDS[plural]} {match.name} was deleted just now")
        return found

    async def named(self, plural: str, name: str) -> dict[str, Any] | None:
        """The object of that name; None if there is none."""
        if not name.replace("-", "").replace(".", "").isalnum() or not name.isascii():
            return None  # no name at all: the API server would be asked for another path
        try:
            document: dict[str, Any] = await self.request("GET", self.path(plural, name.lower()))
            _object(document.get("metadata"))
        except kube.KubeError as error:
            if error.status == 404 and error.reason == "NotFound" and name.lower() in error.message:
                return None
            raise self._of_a_list(error, plural) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self.problem(error) from error
        document["metadata"].pop("managedFields", None)
        return document

    async def task(self, name: str, *, exactly: bool = False) -> LongTask:
        """The task that a person means by a name or id, as `document` finds it."""
        return task_of(await self.document(constants.TASK_PLURAL, name, exactly=exactly))

    async def template(self, name: str) -> LongTaskTemplate:
        """The template of that name; the name of its tool (`model_training`) will do."""
        return template_of(await self.document(constants.TEMPLATE_PLURAL, name.replace("_", "-"), exactly=True))

    async def change(
        self, task: LongTask, field: str, value: Any, more: list[dict[str, Any]] | None = None
    ) -> LongTask:
        """Set a field of spec of exactly this task, by its uid. JSON Patch operations in `more` are tested before."""
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": task.metadata.uid},
            *(more or []),
            {"op": "add", "path": f"/spec/{field}", "value": value},
        ]
        path = self.path(constants.TASK_PLURAL, task.metadata.name)
        return task_of(await self.ask("PATCH", path, body=patch, content_type=kube.JSON_PATCH))

    def _meant(self, wanted: str, rows: list[Row], kind: str, *, exactly: bool) -> Row:
        """The row whose id is `wanted`, or the only one that begins so. Raises Problem with suggestions."""
        key = wanted.lower()
        begins = [
            row
            for row in rows
            if row.uid == key or row.name.startswith(key) or (len(key) >= MIN_PREFIX and row.uid.startswith(key))
        ]
        exact = [row for row in begins if row.uid == key]
        if exact:
            return exact[0]
        if len(begins) == 1 and not exactly:
            return begins[0]
        where = f"in namespace {self.namespace}"
        if begins:
            some = _listed(row.name for row in begins)
            few = f"{len(begins)} {kind}s {where} begin" if len(begins) > 1 else f"one {kind} {where} begins"
            raise Problem(f"there is no {kind} {wanted!r}; {few} so: {some}. Give the whole name or id")
        if UID.fullmatch(key) and kind == KINDS[constants.TASK_PLURAL]:
            raise Problem(
                f"there is no task {wanted!r} {where}. If it was removed after its time to live, its record may be in "
                "the archive, which the agent that started it still reads (docs/cli.md)"
            )
        close = difflib.get_close_matches(key, [row.name for row in rows], n=MAX_SUGGESTED)
        if close:
            raise Problem(f"there is no {kind} {wanted!r} {where}. Did you mean {' or '.join(close)}?")
        if not rows:
            raise Problem(
                f"there is no {kind} {wanted!r}: namespace {self.namespace} (from {self.connection.namespace_source}) "
                f"has no {kind}s. Choose another with -n"
            )
        raise Problem(f"there is no {kind} {wanted!r} {where}. `longtask list` shows those that there are")

    def _of_a_list(self, error: kube.KubeError, plural: str) -> Problem:
        if error.status == 404:
            return Problem(
                f"LongTask is not installed in the cluster of context {self.connection.context}: it does not know "
                f"{plural}.{constants.GROUP}. Choose another --context, or have it installed (docs/operate.md)"
            )
        return self.problem(error)

    def problem(self, error: Exception) -> Problem:
        """An error of a request, in words for a person."""
        where = f"the cluster of context {self.connection.context} ({self.connection.server})"
        if isinstance(error, kube.KubeError):
            if error.status == 401:
                return Problem(
                    f"{where} does not accept your credentials; they may have expired. Log in again, and try "
                    f"`kubectl auth whoami --context {self.connection.context}`"
                )
            if error.status == 403:
                return Problem(f"{error.message}. Ask an administrator of the namespace for that right (docs/cli.md)")
            if error.status in (429, 503, 504) or error.status >= 500:
                return Problem(f"{where} does not answer now: {error.message}. Try again later")
            return Problem(error.message)
        if isinstance(error, TimeoutError):
            return Problem(f"{where} does not answer in time. Is the network up, and a VPN needed?")
        if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
            return Problem(f"{where} sends an answer that cannot be read: {str(error)[:200]}. Is it an API server?")
        return Problem(f"{where} cannot be reached: {_reason(error)}")


def task_of(document: dict[str, Any]) -> LongTask:
    """The task of a document. Raises Problem if this version cannot read it."""
    try:
        return LongTask.from_api(document)
    except ValidationError as error:
        raise _unreadable(document, error) from error


def template_of(document: dict[str, Any]) -> LongTaskTemplate:
    """The template of a document. Raises Problem if this version cannot read it."""
    try:
        return LongTaskTemplate.from_api(document)
    except ValidationError as error:
        raise _unreadable(document, error) from error


def _unreadable(document: dict[str, Any], error: ValidationError) -> Problem:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return Problem(
        f"{document.get('kind', 'object')} {document['metadata']['name']} cannot be read by this version: {field}: "
        f"{first['msg']}. `-o yaml` shows it as it is; a newer longtask may read it"
    )


def _object(value: Any) -> dict[str, Any]:
    """The value, if it is an object as every answer of an API server. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"{str(value)[:50]!r} is no object")
    return value


def _items(page: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """The objects of a list. Raises ValueError."""
    if not isinstance(page.get(field), list):
        raise ValueError(f"it has no {field}")
    return [_object(each) for each in page[field]]


def _row(row: dict[str, Any], columns: list[str]) -> Row:
    metadata = row["object"]["metadata"]
    cells = {column: "" if cell is None else str(cell) for column, cell in zip(columns, row["cells"], strict=False)}
    return Row(metadata.get("namespace", ""), metadata["name"], metadata["uid"], metadata["creationTimestamp"], cells)


def _continued(query: Mapping[str, str], token: str) -> dict[str, str]:
    return {**query, **({"continue": token} if token else {})}


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - MAX_SUGGESTED
    return ", ".join(ordered[:MAX_SUGGESTED]) + (f" and {more} more" if more > 0 else "")


def _is_passing(error: kube.KubeError) -> bool:
    return error.status == 429 or error.status >= 500


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__
    if isinstance(error, aiohttp.InvalidURL):
        return f"{error} is no URL of an API server"
    return str(error) or type(error).__name__
