"""The log of an attempt, read from its pod: whole, or line by line while it is written."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from longtask_api import constants
from longtask_api.longtask import Attempt
from longtask_cli.cluster import Cluster
from longtask_runtime import kube

IDLE: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
"""A log may be silent for hours; proxies between are not as patient, so an idle connection is made anew."""
STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?(.*)", re.DOTALL)
SEVERAL: Final = "a container name must be specified"
"""In the API server's answer for a pod with several containers."""
RETRY_SECONDS: Final = 1.0


class NoLog(Exception):
    """The pod's log cannot be read; the message says why. `is_final`: trying again for this attempt is of no use."""

    def __init__(self, why: str, *, is_final: bool) -> None:
        super().__init__(why)
        self.is_final = is_final


@dataclass
class _Position:
    """Where to go on after a lost connection: the time of the last line, and how many lines have that time.

    kubelet writes all times of a log in one length, so texts sort like times.
    """

    at: bytes = b""
    lines: int = 0

    def query(self) -> dict[str, str]:
        """What selects the rest of the log."""
        return {"sinceTime": self.at.decode()} if self.at else {}

    def pass_by(self, at: bytes) -> None:
        """Record a line."""
        self.lines = self.lines + 1 if at == self.at else 1
        self.at = at


async def log_lines(
    cluster: Cluster, attempt: Attempt, *, follow: bool, tail: int | None
) -> AsyncGenerator[bytes, None]:
    """The lines of the log, without their ends; with `follow` until the container has ended, through lost connections.

    Raises NoLog.
    """
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{attempt.pod_name}"
    query = {"timestamps": "true", **({"follow": "true"} if follow else {})}
    position = _Position()
    while True:
        start = position.query() or ({"tailLines": str(tail)} if tail is not None else {})
        try:
            async with aclosing(_read(cluster, f"{path}/log", query | start, position)) as stream:
                async for line in stream:
                    yield line
            return
        except kube.KubeError as error:
            if error.status == 400 and SEVERAL in error.message and "container" not in query:
                query["container"] = await _container(cluster, path)
                continue
            if error.status == 401 and follow:
                await cluster.connection.renew()
            elif not follow or error.status < 500:
                raise NoLog(_why(error, attempt), is_final=error.status in (403, 404)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not follow:
                raise NoLog(cluster.problem(error).message, is_final=False) from error
        await asyncio.sleep(RETRY_SECONDS)


async def _read(cluster: Cluster, path: str, query: dict[str, str], position: _Position) -> AsyncGenerator[bytes, None]:
    """The lines that follow the position, which moves with them."""
    known, skip = position.at, position.lines
    async with aclosing(
        kube.read_lines(cluster.connection.client, path, query=query, timeout=IDLE, rest=True)
    ) as stream:
        async for line in stream:
            match = STAMP.fullmatch(line)
            at, text = (match[1], match[2]) if match is not None else (position.at, line)
            if at < known or (at == known and skip > 0):  # it was printed before the connection was lost
                skip -= at == known
                continue
            position.pass_by(at)
            yield text


async def _container(cluster: Cluster, path: str) -> str:
    """The container that does the work, of a pod with several."""
    try:
        pod: Any = await cluster.request("GET", path)
    except kube.KubeError as error:
        raise NoLog(
            f"the pod has several containers, and to learn which does the work you need the right to get pods: "
            f"{error.message}",
            is_final=True,
        ) from error
    annotations = pod["metadata"].get("annotations") or {}
    return str(annotations.get(constants.ANNOTATION_CONTAINER) or pod["spec"]["containers"][0]["name"])


def _why(error: kube.KubeError, attempt: Attempt) -> str:
    if error.status == 404:
        return f"pod {attempt.pod_name} of attempt {attempt.number} is gone"
    if error.status == 403:
        return f"you may not read the logs of pods: {error.message}"
    return f"the log of pod {attempt.pod_name} cannot be read now: {error.message}"
