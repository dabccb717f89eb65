"""`python -m bench.bare PORT`: the floor of the task API, the same server with an app that only answers 202."""

import sys

import uvloop
from starlette.types import Receive, Scope, Send

from longtask_runtime.serving import serve

ANSWER = b'{"held":true}'


async def bare(_: Scope, receive: Receive, send: Send) -> None:
    """Take it and do nothing."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


if __name__ == "__main__":
    uvloop.run(serve(bare, int(sys.argv[1])))
