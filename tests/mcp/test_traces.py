"""Traces go from a call to the task that it starts, and to wherever they are exported."""

import gzip
import http.server
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

from longtask_api import constants
from tests.mcp.replica import ERAS, Agent, Replica, agent, running
from tests.mcp.world import World, eventually
from tests.ports import free_port

Agents = Callable[..., AbstractAsyncContextManager[Agent]]
TRACE_ID, SPAN_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
PARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "token-of-the-collector"


@contextmanager
def traced() -> Iterator[None]:
    """Within the block the client is in the middle of PARENT, which it writes into the `_meta` of its calls."""
    span = SpanContext(TRACE_ID, SPAN_ID, True, TraceFlags(1), TraceState([("vendor", "value")]))
    with trace.use_span(NonRecordingSpan(span)):
        yield


async def annotations_of_a_start(session: Agent, world: World, key: str | None = None) -> dict[str, str]:
    reply = await session.call("model_training", model_name="m", idempotency_key=key or uuid.uuid4().hex)
    assert not reply.error, reply.text
    return (await world.task(reply.task_id)).metadata.annotations


@pytest.mark.parametrize("era", ERAS)
async def test_a_task_belongs_to_the_trace_of_the_call(as_alice: Agents, world: World, era: str) -> None:
    async with as_alice(era) as session:
        with traced():
            made = await annotations_of_a_start(session, world)
    assert (made[constants.ANNOTATION_TRACEPARENT], made[constants.ANNOTATION_TRACESTATE]) == (PARENT, "vendor=value")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("headers", "parent", "state"),
    [
        ({"traceparent": OTHER}, OTHER, None),
        ({"traceparent": OTHER, "tracestate": "a=1"}, OTHER, "a=1"),
        ({"traceparent": OTHER, "tracestate": "a" * 8192}, OTHER, None),
        ({"traceparent": "00-0-0-00"}, None, None),
        ({"traceparent": OTHER.replace("b7ad6b7169203331", "0" * 16)}, None, None),
        ({"tracestate": "a=1"}, None, None),
        ({}, None, None),
    ],
)
async def test_a_header_names_the_trace_where_the_call_does_not(
    replica: Replica, alice: str, world: World, era: str, headers: dict[str, str], parent: str | None, state: str | None
) -> None:
    async with agent(replica.url, alice, era, headers) as session:
        made = await annotations_of_a_start(session, world)
        assert made.get(constants.ANNOTATION_TRACEPARENT) == parent
        assert made.get(constants.ANNOTATION_TRACESTATE) == state
        with traced():
            made = await annotations_of_a_start(session, world)
        assert made[constants.ANNOTATION_TRACEPARENT] == PARENT


async def test_a_start_that_is_repeated_stays_in_its_trace(replica: Replica, alice: str, world: World) -> None:
    key = uuid.uuid4().hex
    async with agent(replica.url, alice) as session:
        with traced():
            await annotations_of_a_start(session, world, key)
    async with agent(replica.url, alice, headers={"traceparent": OTHER}) as session:
        made = await annotations_of_a_start(session, world, key)
    assert made[constants.ANNOTATION_TRACEPARENT] == PARENT


async def test_a_call_in_a_sampled_trace_is_an_exemplar_of_the_metrics(replica: Replica, alice: str) -> None:
    async with agent(replica.url, alice) as session:
        with traced():
            await session.call("list_templates")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    pages = f"http://127.0.0.1:{replica.metrics_port}/metrics"
    found = (await replica.http.get(pages, headers=accept)).text
    assert re.search(rf'call_seconds_bucket.*tool="list_templates".*# {{.*trace_id="{TRACE_ID:032x}"', found), found
    assert "trace_id" not in (await replica.http.get(pages)).text, "the older format has no exemplars"
    lines = [json.loads(line) for line in replica.log().splitlines() if f"{TRACE_ID:032x}" in line]
    assert ("list_templates", "ok") in {(line.get("tool"), line.get("outcome")) for line in lines}


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Takes)
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.authorizations: set[str | None] = set()
        self.status = 200


class _Takes(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.authorizations.add(self.headers["Authorization"])
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.server.services.add(names["service.name"])
            for scope in resource.scope_spans:
                self.server.spans.extend(scope.spans)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def exporting(port: int) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{SECRET}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


async def test_spans_are_exported_and_tasks_belong_to_them(
    world: World, kubeconfig: Path, tmp_path: Path, alice: str, collector: Collector
) -> None:
    environment = exporting(collector.server_port)
    async with running(kubeconfig, world.namespace, tmp_path, None, environment, log_level="DEBUG") as replica:
        async with agent(replica.url, alice) as session:
            with traced():
                made = await annotations_of_a_start(session, world)

        async def exported() -> Any:
            return next((each for each in collector.spans if each.name == "tools/call model_training"), None)

        span = await eventually(exported, "the span of the start is exported")
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (f"{TRACE_ID:032x}", f"{SPAN_ID:016x}")
        assert made[constants.ANNOTATION_TRACEPARENT] == f"00-{TRACE_ID:032x}-{span.span_id.hex()}-01"
        assert collector.services == {"longtask-mcp"}
        assert collector.authorizations == {f"Bearer {SECRET}"}
    assert SECRET not in replica.log()


@pytest.mark.parametrize("status", [None, 401, 503])
async def test_calls_do_without_a_collector(
    world: World, kubeconfig: Path, tmp_path: Path, alice: str, collector: Collector, status: int | None
) -> None:
    """`None`: nobody listens."""
    collector.status = status or 200
    environment = exporting(free_port() if status is None else collector.server_port)
    async with (
        running(kubeconfig, world.namespace, tmp_path, None, environment, log_level="DEBUG") as replica,
        agent(replica.url, alice) as session,
    ):
        assert await annotations_of_a_start(session, world)

        async def told() -> bool:
            return "opentelemetry.exporter" in replica.log()

        await eventually(told, "the log says that spans cannot be exported")
        replica.terminate()
        assert await replica.stopped() == 0
    assert SECRET not in replica.log()
