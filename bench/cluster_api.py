"""A fast client of the API server for making load and for watching it end."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

CONNECTIONS = 8
Document = dict[str, Any]


class ClusterApi:
    """Requests with keep-alive connections."""

    def __init__(self, host: str, session: aiohttp.ClientSession) -> None:
        self._host = host
        self._session = session

    async def request(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Document:
        """The decoded answer. Raises RuntimeError when the API server refuses."""
        data = json.dumps(body) if body is not None else None
        async with self._session.request(
            method, self._host + path, data=data, headers={"Content-Type": content}
        ) as answer:
            document: Document = await answer.json()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {document.get('message')}")
            return document

    async def create_all(self, path: str, bodies: Iterable[Document], pause: float = 0.0) -> None:
        """Create them, over CONNECTIONS connections at a time, or one by one with a pause of so many seconds."""
        waiting = iter(bodies)

        async def worker() -> None:
            for body in waiting:
                await self.request("POST", path, body)
                await asyncio.sleep(pause)

        async with asyncio.TaskGroup() as group:
            for _ in range(1 if pause else CONNECTIONS):
                group.create_task(worker())

    async def until_all(self, path: str, count: int, ended: Callable[[Document], bool], version: str) -> None:
        """Watch the collection from `version` on until `count` objects of it have ended."""
        names = set[str]()
        async with aclosing(self.watch(path, version)) as documents:
            async for document in documents:
                if ended(document):
                    names.add(document["metadata"]["name"])
                if len(names) == count:
                    return
        raise RuntimeError(f"the watch of {path} ended with {len(names)} of {count}")

    async def watch(self, path: str, version: str) -> AsyncGenerator[Document, None]:
        """The objects of the collection as they change from `version` on."""
        async with self._session.get(f"{self._host}{path}?watch=1&resourceVersion={version}") as stream:
            async for line in stream.content:
                yield json.loads(line)["object"]

    async def version(self, path: str) -> str:
        """The resourceVersion of the collection now."""
        return str((await self.request("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"])


@asynccontextmanager
async def connect(user_agent: str) -> AsyncIterator[ClusterApi]:
    """To the cluster of KUBECONFIG."""
    configuration = Configuration()
    await load_kube_config(client_configuration=configuration)
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    headers = {"User-Agent": user_agent}
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if "BearerToken" in configuration.api_key:
        headers["Authorization"] = configuration.api_key["BearerToken"]
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS * 4),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        headers=headers,
        read_bufsize=2**21,
    ) as session:
        yield ClusterApi(configuration.host, session)
