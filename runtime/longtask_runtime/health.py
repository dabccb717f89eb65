"""/healthz, /readyz and /metrics, for the kubelet and Prometheus."""

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

Check = Callable[[], str | None]
"""Returns what is wrong, or None if the check passes."""


def health_app(alive: Check, ready: Check, registry: CollectorRegistry = REGISTRY) -> Starlette:
    """The ASGI app. `alive` answers /healthz (the kubelet restarts the container on 503), `ready` answers /readyz (no
    traffic on 503), and `registry` has the metrics of /metrics.
    """

    def answer(problem: str | None) -> Response:
        return PlainTextResponse(problem or "ok", status_code=503 if problem else 200)

    async def healthz(_: Request) -> Response:
        return answer(alive())

    async def readyz(_: Request) -> Response:
        return answer(ready())

    async def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=media_type)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
