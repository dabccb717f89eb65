"""Results that are too large for the object, kept in a bucket and read part by part."""

import asyncio
import hashlib
from collections.abc import Callable

import pytest

from longtask.encode import encode
from tests.e2e import works
from tests.e2e.conftest import Session
from tests.e2e.following import ended
from tests.e2e.installation import MAX_BYTES, Installation

SIZE = 5 * 1024 * 1024
AT_ONCE = 10
"""Calls that are under way at the same time."""


@pytest.fixture(autouse=True)
def bucket(installation: Installation) -> None:
    if not installation.has_bucket:
        pytest.skip("the bucket is on this machine, and pods do not reach it: set LONGTASK_HOST_ADDRESS")


async def test_a_result_of_5_mib_comes_back_byte_for_byte(as_alice: Session, new_key: Callable[[], str]) -> None:
    expected = encode(works.large.local(size=SIZE))
    assert len(expected) > SIZE
    async with as_alice() as agent:
        task = await agent.call("e2e_large", size=SIZE, idempotency_key=new_key())
        first = await ended(agent, task.task_id)
        assert first.envelope["status"] == "completed", first.text
        pages, parts = first.envelope["pages"], [first.envelope["result"]]
        for begin in range(2, pages + 1, AT_ONCE):
            numbers = range(begin, min(begin + AT_ONCE, pages + 1))
            calls = [agent.call("get_task_results", task_id=task.task_id, page=number) for number in numbers]
            parts += [reply.envelope["result"] for reply in await asyncio.gather(*calls)]
    content = "".join(parts).encode()
    assert hashlib.sha256(content).hexdigest() == hashlib.sha256(expected).hexdigest()
    reference = first.envelope["reference"]
    assert reference["uri"].startswith("s3://")
    assert (reference["size"], reference["sha256"]) == (len(expected), hashlib.sha256(expected).hexdigest())


async def test_a_result_over_the_limit_fails_and_says_what_to_configure(
    as_alice: Session, new_key: Callable[[], str]
) -> None:
    async with as_alice() as agent:
        task = await agent.call("e2e_large", size=MAX_BYTES + 1, idempotency_key=new_key())
        reply = await ended(agent, task.task_id)
    assert reply.envelope["status"] == "failed"
    assert "the result was refused: 413: TooLarge" in reply.text
    assert f"more than {MAX_BYTES} bytes, the limit operator.store.maxBytes in the chart's values" in reply.text
    assert "result" not in reply.envelope
