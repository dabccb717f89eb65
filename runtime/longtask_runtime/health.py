"""/healthz, /readyz and /metrics, for kubelet and Prometheus."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

Check = Callable[[], str | None]
"""Tells what is wrong, or None."""


def health_app(alive: Check, ready: Check, registry: CollectorRegistry = REGISTRY) -> Starlette:
    """The app. A process that is not alive should be restarted; one that is not ready gets no calls meanwhile."""

    def answer(problem: str | None) -> Response:
        return PlainTextResponse(problem or "ok", status_code=503 if problem else 200)

    async def healthz(_: Request) -> Response:
        return answer(alive())

    async def readyz(_: Request) -> Response:
        return answer(ready())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
