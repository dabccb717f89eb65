"""Servers that are no API server of LongTask's, or not a healthy one: a sentence, and never a traceback."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests import kubeconfigs
from tests.cli.program import Cli, Ran
from tests.mcp.replica import Replica

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
TASK: dict[str, Any] = {
    "apiVersion": "longtask.dev/v1alpha1",
    "kind": "LongTask",
    "metadata": {"name": "x", "uid": "u", "resourceVersion": "5", "creationTimestamp": "2026-03-01T10:00:00Z"},
    "spec": {"templateRef": {"name": "work"}},
    "status": {"phase": "Running"},
}
COMMANDS = (["list"], ["show", "x"], ["logs", "x"], ["watch", "x"], ["start", "x"], ["templates", "list"], ["doctor"])


@asynccontextmanager
async def server(answer: Answer, folder: Path) -> AsyncIterator[Cli]:
    """The command line of a cluster whose API server answers so."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = kubeconfigs.write(folder / "config", {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    try:
        yield Cli(KUBECONFIG=str(config), LONGTASK_NAMESPACE="tasks")
    finally:
        await runner.cleanup()


async def run(cli: Cli, *arguments: str) -> Ran:
    return await asyncio.to_thread(cli, *arguments)


async def without_longtask(request: web.Request) -> web.StreamResponse:
    if request.path == "/version":
        return web.json_response({"major": "1", "minor": "34+", "gitVersion": "v1.34.4"})
    return web.Response(text="404 page not found\n", status=404)


async def test_a_cluster_without_the_definitions_is_told(tmp_path: Path) -> None:
    async with server(without_longtask, tmp_path) as cli:
        for command in COMMANDS[:-1]:
            ran = await run(cli, *command)
            assert (ran.code, ran.out) == (4, "")
            assert "LongTask is not installed in the cluster of context tests" in ran.err
        ran = await run(cli, "doctor")
        assert ran.code == 1
        assert "WRONG LongTask is not installed: the cluster does not serve longtask.dev/v1alpha1" in ran.out


@pytest.mark.parametrize("body", ["<html>Please log in</html>", "", "[]", "7", '{"items": 3}', '{"kind": "Status"}'])
async def test_an_answer_of_something_else_is_no_traceback(tmp_path: Path, body: str) -> None:
    async def odd(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, content_type="application/json")

    async with server(odd, tmp_path) as cli:
        for command in COMMANDS:
            ran = await run(cli, *command)
            assert ran.code in (1, 4), ran
            assert ran.err or ran.out
            assert "mistake of the program" not in ran.err
            assert len((ran.err + ran.out).splitlines()) < 10


@pytest.mark.parametrize(("status", "says"), [(500, "does not answer now"), (503, "does not answer now"), (429, "now")])
async def test_a_cluster_that_is_overloaded_is_told_after_some_tries(tmp_path: Path, status: int, says: str) -> None:
    asked = 0

    async def busy(_: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return web.json_response({"message": "too busy\x1b[2J", "reason": "Busy"}, status=status)

    async with server(busy, tmp_path) as cli:
        ran = await run(cli, "list")
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err
    assert "too busy\\x1b[2J" in ran.err
    assert asked == 5


async def test_a_list_whose_pages_expire_is_read_at_once(tmp_path: Path) -> None:
    metadata = {"name": "late", "uid": "u", "namespace": "tasks", "creationTimestamp": "2026-03-01T10:00:00Z"}
    row = {"cells": ["late", "Running"], "object": {"metadata": metadata}}
    columns = [{"name": "Name"}, {"name": "Phase"}]

    async def expiring(request: web.Request) -> web.StreamResponse:
        if "continue" in request.query:
            return web.json_response({"reason": "Expired", "message": "too old", "code": 410}, status=410)
        more = {"continue": "token"} if "limit" in request.query else {}
        return web.json_response({"metadata": more, "columnDefinitions": columns, "rows": [row]})

    async with server(expiring, tmp_path) as cli:
        ran = await run(cli, "list", "-o", "name")
    assert (ran.code, ran.out) == (0, "longtask.longtask.dev/late\n")


async def test_who_may_no_longer_watch_is_told(tmp_path: Path) -> None:
    """The right is taken away while the command waits."""

    async def forbidding(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/longtasks/x"):
            return web.json_response(TASK)
        refused = {"reason": "Forbidden", "message": 'longtasks is forbidden: User "jane" cannot watch'}
        return web.json_response(refused, status=403)

    async with server(forbidding, tmp_path) as cli:
        ran = await run(cli, "watch", "x")
    assert ran.code == 4
    assert 'User "jane" cannot watch. Ask an administrator' in ran.err


async def test_credentials_that_expire_during_a_watch_are_renewed(tmp_path: Path) -> None:
    """The file of the token is written anew by whoever renews it, as for a projected token."""
    token = tmp_path / "token"
    token.write_text("first")
    valid, looked = "first", 0

    async def expiring(request: web.Request) -> web.StreamResponse:
        nonlocal valid, looked
        if request.headers["Authorization"] != f"Bearer {valid}":
            return web.json_response({"reason": "Unauthorized", "message": "Unauthorized"}, status=401)
        if request.path.endswith("/longtasks/x"):
            return web.json_response(TASK)
        looked += 1
        if looked == 1:
            valid = "second"
            token.write_text("second")
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [TASK]})
        ended = {**TASK, "status": {"phase": "Succeeded"}, "metadata": {**TASK["metadata"], "resourceVersion": "9"}}
        return web.json_response({"metadata": {"resourceVersion": "9"}, "items": [ended]})

    async with server(expiring, tmp_path) as cli:
        document = json.loads((tmp_path / "config").read_text())
        document["users"][0]["user"] = {"tokenFile": str(token)}
        (tmp_path / "config").write_text(json.dumps(document))
        ran = await run(cli, "watch", "x")
    assert ran.code == 0, ran
    assert "x succeeded" in ran.err


async def test_a_task_that_this_version_cannot_read_is_told(tmp_path: Path) -> None:
    document = {"kind": "LongTask", "metadata": {"name": "x", "uid": "u"}, "spec": {}}

    async def newer(_: web.Request) -> web.StreamResponse:
        return web.json_response(document)

    async with server(newer, tmp_path) as cli:
        ran = await run(cli, "show", "x")
        assert (ran.code, ran.out) == (4, "")
        assert (
            "LongTask x cannot be read by this version: spec.templateRef: Field required. `-o yaml` shows it" in ran.err
        )
        assert json.loads((await run(cli, "show", "x", "-o", "json")).out) == document


def test_a_mistake_of_the_program_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("nobody\x1b[2J")

    monkeypatch.setattr("longtask_cli.commands.connect.fullname", broken)
    ran = Cli()("connect", "strands")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("error: KeyError: 'nobody\\x1b[2J'. This is a mistake of the program; LONGTASK_DEBUG=1")
    with pytest.raises(KeyError):
        Cli(LONGTASK_DEBUG="1")("connect", "strands")


@pytest.mark.cluster
async def test_doctor_asks_the_mcp_server(replica: Replica, cli: Cli) -> None:
    ran = await run(cli, "doctor", "--mcp-url", replica.url)
    assert f"the MCP server answers at {replica.url}" in ran.out
    ran = await run(cli, "doctor", "--mcp-url", replica.url.removesuffix("/mcp") + "/nothing")
    assert "it is no MCP server of LongTask" in ran.out
    ran = await run(cli, "doctor", "--mcp-url", "http://127.0.0.1:1/mcp")
    assert "cannot be reached" in ran.out
    assert ran.code == 1
