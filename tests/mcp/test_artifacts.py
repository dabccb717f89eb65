"""Artifacts of any type as MCP resources, for the caller of the task only."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import BlobResourceContents
from starlette.responses import JSONResponse

from longtask_mcp.contract.artifacts import PAGE_BYTES, ArtifactPage, read_uri
from tests.mcp.given_task_api import GivenTaskApi, given_task_api
from tests.mcp.objects import ago, task, uid
from tests.mcp.replica import ERAS, Agent, Replica, agent, running
from tests.mcp.world import World, eventually

SMALL, LARGE = bytes(range(256)) * 4, os.urandom(2 * PAGE_BYTES + 17)
eras = pytest.mark.parametrize("era", ERAS)


def artifact(name: str, content: bytes, **more: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"name": name, "uri": f"s3://b/{name}", "size": len(content), "sha256": sha256} | more


ENDED: dict[str, Any] = {
    "phase": "Succeeded",
    "completionTime": ago(minutes=1),
    "result": {
        "artifacts": [
            artifact("plot.png", SMALL, mediaType="image/png"),
            artifact("model.bin", LARGE),
            artifact("empty", b""),
            {"name": "elsewhere", "uri": "s3://others/x"},
        ]
    },
}


@pytest.fixture(scope="module")
async def operator() -> AsyncIterator[GivenTaskApi]:
    async with given_task_api() as operator:
        yield operator


@pytest.fixture(scope="module")
async def connected(
    world: World, kubeconfig: Path, operator: GivenTaskApi, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replica]:
    folder = tmp_path_factory.mktemp("artifacts")
    (folder / "token").write_text("secret")
    where = {"task_api_url": operator.url, "task_api_token_file": str(folder / "token")}
    async with running(kubeconfig, world.namespace, folder, **where) as process:
        yield process


@pytest.fixture
async def task_id(
    connected: Replica, operator: GivenTaskApi, world: World, alice: str, new_key: Callable[[], str]
) -> str:
    async with agent(connected.url, alice) as session:
        made = (await session.call("model_training", model_name="m", idempotency_key=new_key())).task_id
        await world.set_status(made, **ENDED)

        async def is_told() -> bool:
            told = await session.call("check_task_status", task_id=made)
            return bool(told.envelope["status"] == "completed")

        await eventually(is_told, "the task has ended")
    operator.contents = {
        f"/v1/tasks/{made}/artifacts/{name}": content
        for name, content in {"plot.png": SMALL, "model.bin": LARGE, "empty": b""}.items()
    }
    return made


async def read(session: Agent, uri: str) -> tuple[bytes, str | None]:
    [content] = (await session.client.read_resource(uri)).contents
    assert isinstance(content, BlobResourceContents)
    return base64.b64decode(content.blob), content.mime_type


@eras
async def test_it_is_read_by_the_uri_that_answers_name(connected: Replica, alice: str, task_id: str, era: str) -> None:
    async with agent(connected.url, alice, era) as session:
        [template] = (await session.client.list_resource_templates()).resource_templates
        answer = await session.call("get_task_results", task_id=task_id)
        named = {each["name"]: each.get("resource") for each in answer.envelope["artifacts"]}
        assert template.uri_template == "longtask://tasks/{task_id}/artifacts/{name}{?page}"
        assert f"longtask://tasks/{task_id}/artifacts/<name>" in answer.text
        assert await read(session, named["plot.png"]) == (SMALL, "image/png")
        assert await read(session, named["empty"]) == (b"", "application/octet-stream")
        binary = await session.call("get_task_results", task_id=task_id, artifact="plot.png")
    assert not binary.error
    assert f"read it as the resource {named['plot.png']}" in binary.text
    assert named["elsewhere"] is None


@eras
async def test_one_that_is_large_is_read_page_by_page(connected: Replica, alice: str, task_id: str, era: str) -> None:
    uri = f"longtask://tasks/{task_id}/artifacts/model.bin"
    async with agent(connected.url, alice, era) as session:
        with pytest.raises(MCPError, match=f"{len(LARGE):,} bytes.*page=1 to {uri}.page=3") as refused:
            await read(session, uri)
        parts = [(await read(session, f"{uri}?page={number}"))[0] for number in (1, 2, 3)]
        with pytest.raises(MCPError, match="page: 4 is out of range; there are 3"):
            await read(session, f"{uri}?page=4")
    assert b"".join(parts) == LARGE
    assert refused.value.error.code == -32603


async def test_nobody_else_reads_it(connected: Replica, alice: str, bob: str, task_id: str) -> None:
    async with agent(connected.url, bob) as stranger, agent(connected.url, alice) as session:
        for uri in (f"longtask://tasks/{task_id}/artifacts/plot.png", f"longtask://tasks/{uid(9)}/artifacts/plot.png"):
            with pytest.raises(MCPError, match="task not found") as refused:
                await read(stranger, uri)
            assert refused.value.error.code == -32602
        with pytest.raises(MCPError, match=r"the task has no artifact 'other'. It has .*plot.png"):
            await read(session, f"longtask://tasks/{task_id}/artifacts/other")
        with pytest.raises(MCPError, match="only named it"):
            await read(session, f"longtask://tasks/{task_id}/artifacts/elsewhere")
    metrics = (await connected.operations("metrics")).text
    assert 'tool="resources/read"' in metrics


async def test_a_store_that_does_not_answer_is_told_apart_from_one_that_has_lost_it(
    connected: Replica, operator: GivenTaskApi, alice: str, task_id: str
) -> None:
    told = {503: "cannot be read now: the bucket is slow", 404: "cannot be read: the bucket is slow"}
    async with agent(connected.url, alice) as session:
        for status, words in told.items():
            operator.instead = JSONResponse({"detail": "the bucket is slow"}, status)
            with pytest.raises(MCPError, match=words):
                await read(session, f"longtask://tasks/{task_id}/artifacts/plot.png")
    operator.instead = None


async def test_it_is_read_from_the_archive_too(
    connected: Replica, operator: GivenTaskApi, world: World, alice: str
) -> None:
    principal = f"system:serviceaccount:{world.namespace}:alice"
    operator.archived = [task({"requester": {"principal": principal}}, ENDED, uid=uid(5)).to_api()]
    operator.contents = {f"/v1/archive/{uid(5)}/artifacts/plot.png": SMALL}
    async with agent(connected.url, alice) as session:
        content, _ = await read(session, f"longtask://tasks/{uid(5)}/artifacts/plot.png")
    assert content == SMALL


@pytest.mark.parametrize("name", ["a", "rows 1.csv", "ä/b", "100%", "a?page=2#x", "../result"])
@pytest.mark.parametrize("page", [None, 1, 999])
def test_a_uri_names_what_it_was_made_for(name: str, page: int | None) -> None:
    named = ArtifactPage(uid(1), name, page)
    assert read_uri(named.uri) == named


@pytest.mark.parametrize(
    "uri",
    [
        "longtask://brief",
        "https://tasks/x/artifacts/y",
        "longtask://other/x/artifacts/y",
        "longtask://tasks/x/artifacts/",
        "longtask://tasks/x/artifacts/y/z",
        "longtask://tasks/x/results/y",
        "longtask://tasks/x/artifacts/y?page=0",
        "longtask://tasks/x/artifacts/y?page=",
        "longtask://tasks/x/artifacts/y?page=1&size=2",
        "longtask://tasks/x/artifacts/y?odd",
        "longtask://tasks/x/artifacts/y#1",
        "longtask://[",
    ],
)
def test_any_other_uri_is_no_artifact(uri: str) -> None:
    assert read_uri(uri) is None
