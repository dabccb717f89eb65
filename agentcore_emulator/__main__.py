"""`python -m agentcore_emulator`: serve until SIGTERM or SIGINT."""

import argparse
import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from agentcore_emulator.app import CUT, Emulator
from agentcore_emulator.operations import Memories
from agentcore_emulator.store import Store


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="agentcore_emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one; it is printed")
    parser.add_argument("--database", default=":memory:", help="a file; without it everything ends with the process")
    parser.add_argument("--memory", action="append", default=[], help="id of a memory that there is; default: any")
    parser.add_argument("--no-limits", action="store_true", help="take any number of events a second")
    given = parser.parse_args()
    emulator = Emulator(Memories(Store(given.database), given.memory), limits=not given.no_limits)
    asyncio.run(_serve(_cutting(emulator.app()), given.host, given.port))


async def _serve(app: ASGIApp, host: str, port: int) -> None:
    listening = socket.create_server((host, port))
    print(f"listening on http://{host}:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve(sockets=[listening])


def _cutting(app: ASGIApp) -> ASGIApp:
    """Gives the app the means to end a connection: ASGI has none, so it is uvicorn's own."""

    async def with_scissors(scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        await app({**scope, CUT: transport.abort if transport is not None else lambda: None}, receive, send)

    return with_scissors


if __name__ == "__main__":
    main()
