"""Traces: which one a call belongs to, and their export by OTLP."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from longtask import __version__

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Variables that turn the export on (https://opentelemetry.io/docs/specs/otel/protocol/exporter/)."""
W3C = TraceContextTextMapPropagator()


class Traced:
    """Makes the trace of a request's header `traceparent` the current one. One in the call's `_meta`, which the MCP SDK
    reads later, takes its place (https://modelcontextprotocol.io/seps/414-request-meta)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        token = context.attach(W3C.extract(Headers(scope=scope)))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(token)


def current() -> dict[str, str]:
    """The current trace as the headers `traceparent` and `tracestate`; empty if there is none."""
    headers: dict[str, str] = {}
    W3C.inject(headers)
    return headers


def trace_id() -> str | None:
    """The current trace's id in hexadecimal; None if there is none."""
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid else None


def exemplar() -> dict[str, str] | None:
    """The labels that link a metric to the current trace; None if that is not recorded anywhere."""
    span = trace.get_current_span().get_span_context()
    if not (span.is_valid and span.trace_flags.sampled):
        return None
    return {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}


@contextmanager
def exported() -> Iterator[None]:
    """Within the block spans are exported from a thread, if the environment says where to; at its end what is left."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        yield
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", "longtask-mcp")
    provider = TracerProvider(resource=Resource.create({"service.version": __version__}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
