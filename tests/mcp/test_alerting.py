"""A Prometheus that reads a real server's metrics and the chart's rules raises an alert."""

import asyncio
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cluster import programs
from tests.cluster.lock import exclusively
from tests.cluster.paths import BIN
from tests.docs.pages import ROOT
from tests.mcp.replica import Replica
from tests.mcp.world import eventually
from tests.ports import free_port

RULES = ROOT / "charts" / "longtask" / "files" / "alerts.yaml"


def _built() -> None:
    with exclusively():
        programs.build_prometheus()


@pytest.mark.usefixtures("world")
async def test_callers_who_are_refused_again_and_again_raise_an_alert(replica: Replica, tmp_path: Path) -> None:
    await asyncio.to_thread(_built)
    server = f"127.0.0.1:{free_port()}"
    target = {"targets": [f"127.0.0.1:{replica.metrics_port}"], "labels": {"namespace": "longtask-system"}}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "longtask", "static_configs": [target]}],
    }
    (tmp_path / "prometheus.yaml").write_text(json.dumps(configuration))
    arguments = (f"--config.file={tmp_path}/prometheus.yaml", f"--storage.tsdb.path={tmp_path}/data")
    command = [BIN / "prometheus", *arguments, f"--web.listen-address={server}"]
    with (tmp_path / "log").open("wb") as log:
        prometheus = await asyncio.to_thread(partial(subprocess.Popen, command, stdout=log, stderr=log))

    async def asked(what: str) -> Any:
        try:
            return (await replica.http.get(f"http://{server}/api/v1/{what}")).json()["data"]
        except (httpx2.TransportError, ValueError, KeyError):  # it has just been started
            return {}

    async def refused() -> None:
        headers = {"Authorization": "Bearer none", "Accept": "application/json, text/event-stream"}
        answer = await replica.http.post(replica.url, json={}, headers=headers)
        assert answer.status_code == 401

    async def counted() -> Any:
        return (await asked('query?query=longtask_mcp_auth_refusals_total{reason="Invalid"}')).get("result")

    async def raised() -> list[Any]:
        alerts = (await asked("alerts")).get("alerts", [])
        return [each for each in alerts if each["labels"]["alertname"] == "LongTaskCallersRefused"]

    try:
        await refused()
        await eventually(counted, "Prometheus has read that a caller was refused")
        assert await raised() == []
        for _ in range(30):
            await refused()
        [alert] = await eventually(raised, "the alert")
        assert alert["state"] == "firing"
        assert alert["labels"] | {"namespace": "longtask-system", "reason": "Invalid"} == alert["labels"]
        assert alert["annotations"]["summary"] == "Agents are refused (Invalid)"
    finally:
        prometheus.kill()
        await asyncio.to_thread(prometheus.wait)
