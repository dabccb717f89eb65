"""/healthz, /readyz and /metrics, for kubelet and Prometheus."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def health_app(alive: Callable[[], str | None], ready: Callable[[], str | None]) -> Starlette:
    """The app. Both functions tell what is wrong, or None; a replica that only stands by is ready."""

    def answer(problem: str | None) -> Response:
        return PlainTextResponse(problem or "ok", status_code=503 if problem else 200)

    async def healthz(_: Request) -> Response:
        return answer(alive())

    async def readyz(_: Request) -> Response:
        return answer(ready())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
