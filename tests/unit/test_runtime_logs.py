"""What is logged at which level: nothing of libraries below INFO, whatever is asked for."""

import logging
from collections.abc import Iterator

import pytest

from longtask_runtime import logs

LIBRARIES = [
    "aiohttp.client",
    "asyncio",
    "boto3.resources",
    "botocore.auth",
    "botocore.endpoint",
    "botocore.parsers",
    "httpcore.http11",
    "httpx",
    "kubernetes.client.rest",
    "s3transfer.utils",
    "sse_starlette.sse",
    "some.library.of.tomorrow",
    "urllib3.connectionpool",
]
CHATTY = ["kopf.objects", "mcp.server.streamable_http", "uvicorn.access"]
OWN = [
    "__main__",
    "longtask_api.schema",
    "longtask_mcp.server",
    "longtask_operator.leader_election",
    "longtask_runtime.kube",
]


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """pytest's own handlers and everybody's levels are as before afterwards."""
    loggers = [logging.getLogger(name) for name in (None, "kopf", "mcp", "uvicorn", *logs.OWN)]
    before, handlers = [each.level for each in loggers], list(loggers[0].handlers)
    loggers[0].handlers[:] = []
    yield
    loggers[0].handlers[:] = handlers
    for each, level in zip(loggers, before, strict=True):
        each.setLevel(level)


@pytest.mark.parametrize(
    ("level", "name", "least"),
    [
        *[("DEBUG", name, logging.INFO) for name in LIBRARIES],
        *[("DEBUG", name, logging.WARNING) for name in CHATTY],
        *[("DEBUG", name, logging.DEBUG) for name in OWN],
        *[("ERROR", name, logging.ERROR) for name in (LIBRARIES[0], CHATTY[0], OWN[-1])],
    ],
)
def test_the_least_level_that_is_logged(level: str, name: str, least: int) -> None:
    logs.configure(level)
    assert logging.getLogger(name).getEffectiveLevel() == least
