"""A start whose answer is lost: it is sent again under its name, and makes one task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.cli.program import Cli
from tests.many import NAMESPACE, PATHS, Many, template
from tests.patience import PATIENCE

TEMPLATE = PATHS["templates"] + "/lossy"


class Lossy(Many):
    """An API server that loses its answers to the first creates, or has not got the requests."""

    def __init__(self, losses: int, *, got: bool, status: int = 0) -> None:
        super().__init__({})
        self.losses, self.got, self.status = losses, got, status
        self.created: dict[str, Any] = {}
        self.posts: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        name = request.path.rpartition("/")[2]
        if request.path == TEMPLATE:
            document = template(1, 1)
            return web.json_response(document | {"metadata": document["metadata"] | {"name": "lossy"}})
        if request.method == "GET" and request.path.startswith(PATHS["tasks"] + "/"):
            refused = {"kind": "Status", "reason": "NotFound", "message": f'longtasks "{name}" not found'}
            return web.json_response(self.created.get(name, refused), status=200 if name in self.created else 404)
        return await super().answer(request)

    async def _create(self, request: web.Request) -> web.Response:
        task = await request.json()
        name = task["metadata"]["name"]
        self.posts.append(name)
        if name in self.created:
            taken = {"kind": "Status", "reason": "AlreadyExists", "message": f'longtasks "{name}" already exists'}
            return web.json_response(taken, status=409)
        task["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-03-01T10:00:00Z"}
        lost, self.losses = self.losses > 0, self.losses - 1
        if not lost or self.got:
            self.created[name] = task
        if lost and self.status:
            return web.json_response({"message": "try again"}, status=self.status)
        if lost and request.transport is not None:
            request.transport.close()
        return web.json_response(task, status=201)


@asynccontextmanager
async def serving(server: Lossy) -> AsyncIterator[Lossy]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


async def ran(server: Lossy, folder: Path, *arguments: str) -> tuple[int, str, str]:
    cli = Cli(KUBECONFIG=server.kubeconfig(folder / "config"), LONGTASK_NAMESPACE=NAMESPACE)
    with cli.start("start", "lossy", *arguments) as process:
        out, err = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    return process.returncode, out, err


@pytest.mark.parametrize("key", [[], ["--idempotency-key", "nightly"]])
@pytest.mark.parametrize(("got", "status"), [(True, 0), (False, 0), (True, 504), (False, 503)])
async def test_a_create_without_an_answer_is_sent_again(tmp_path: Path, key: list[str], got: bool, status: int) -> None:
    async with serving(Lossy(1, got=got, status=status)) as server:
        code, out, err = await ran(server, tmp_path, *key)
    assert code == 0, err
    assert len(set(server.posts)) == 1
    assert len(server.posts) == 2
    assert f"longtask.longtask.dev/{server.posts[0]} " in out


async def test_a_create_that_is_never_answered_is_told_with_the_name(tmp_path: Path) -> None:
    async with serving(Lossy(9, got=False)) as server:
        code, out, err = await ran(server, tmp_path)
    assert (code, out) == (4, "")
    assert len(set(server.posts)) == 1
    assert f"It is not known whether the task {server.posts[0]} was created: `longtask show {server.posts[0]}`" in err


async def test_another_task_of_the_first_name_is_left_alone(tmp_path: Path) -> None:
    """The names of a key are always the same, so those of another's task may be taken."""
    async with serving(Lossy(0, got=True)) as server:
        await ran(server, tmp_path, "--idempotency-key", "nightly")
        (first,) = server.created
        server.created[first]["spec"]["idempotencyKey"] = "other"
        code, out, _ = await ran(server, tmp_path, "--idempotency-key", "nightly")
    assert code == 0
    assert len(server.created) == 2
    assert "started" in out
