"""The official conformance scenarios against the server, with a real API server behind it."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import node
from tests.conformance.work import working
from tests.mcp.replica import Replica, running
from tests.mcp.world import new_world

PROGRAM = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
SCENARIOS: dict[tuple[str, str | None], int] = {
    ("tasks-lifecycle", None): 9,
    ("tasks-capability-negotiation", None): 5,
    ("tasks-wire-fields", None): 4,
    ("tasks-request-state-removal", None): 3,
    ("tasks-mrtr-input", None): 4,
    ("tasks-request-headers", None): 5,
    ("tasks-dispatch-and-envelope", None): 9,
    ("tasks-required-task-error", None): 3,
    ("tasks-mrtr-composition", None): 2,
    ("server-initialize", LEGACY): 2,
    ("ping", LEGACY): 2,
    ("tools-list", LEGACY): 3,
    ("tools-list", MODERN): 4,
    ("resources-list", LEGACY): 2,
    ("resources-list", MODERN): 2,
    ("dns-rebinding-protection", LEGACY): 2,
    ("dns-rebinding-protection", MODERN): 2,
    ("caching", MODERN): 8,
    ("http-header-validation", MODERN): 14,
    ("sep-2164-resource-not-found", MODERN): 4,
    ("input-required-result-unsupported-methods", MODERN): 2,
    ("server-sse-multiple-streams", MODERN): 1,
}
"""Scenarios by name and version of the protocol, with the checks that succeed; none may fail."""


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set: start a cluster with `make cluster-up`, or name one")
    folder = tmp_path_factory.mktemp("conformance")
    async with new_world() as world, working(world):
        token = await world.token("server", audience="https://kubernetes.default.svc.cluster.local")
        kubeconfig = world.kubeconfig(token, folder)
        async with running(
            kubeconfig, world.namespace, folder, module="tests.conformance.server", auth="none"
        ) as replica:
            yield replica


@pytest.mark.cluster
@pytest.mark.parametrize(("scenario", "version"), SCENARIOS, ids=lambda each: str(each or "extension"))
async def test_scenario(server: Replica, tmp_path: Path, scenario: str, version: str | None) -> None:
    which = ["--spec-version", version] if version is not None else []
    code, output, errors = await node.node(
        PROGRAM, "server", "--url", server.url, "--scenario", scenario, *which, "--output-dir", str(tmp_path)
    )
    [report] = await asyncio.to_thread(lambda: list(tmp_path.rglob("checks.json")))
    checks = json.loads(report.read_text())
    problems = [
        f"{each['id']}: {each['status']} {each.get('errorMessage', '')}"
        for each in checks
        if each["status"] not in ("SUCCESS", "INFO")
    ]
    assert not problems, (code, output, errors)
    assert Counter(each["status"] for each in checks)["SUCCESS"] == SCENARIOS[scenario, version]
