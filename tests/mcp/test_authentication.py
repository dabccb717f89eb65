"""What a TokenReview says, and how long an answer is kept."""

import asyncio
import base64
import json
import time
from typing import Any

import pytest

from longtask_runtime import authentication
from longtask_runtime.authentication import MEMORY_ENTRIES, MEMORY_SECONDS, Identity, Memory, Reason, Refused, identity

USER = {
    "username": "system:serviceaccount:agents:researcher",
    "uid": "u",
    "groups": ["system:authenticated"],
    "extra": {"authentication.kubernetes.io/pod-name": ["agent-0"]},
}


def test_an_accepted_token_names_its_holder() -> None:
    status = {"authenticated": True, "audiences": ["longtask.dev/mcp"], "user": USER}
    assert identity(status, "longtask.dev/mcp") == Identity(
        "system:serviceaccount:agents:researcher",
        "u",
        ("system:authenticated",),
        {"authentication.kubernetes.io/pod-name": ("agent-0",)},
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"user": {}, "error": "invalid bearer token"}, Reason.INVALID),
        ({}, Reason.INVALID),
        (
            {
                "error": '[invalid bearer token, token audiences ["other"] is invalid for the target audiences '
                '["longtask.dev/mcp"]]'
            },
            Reason.WRONG_AUDIENCE,
        ),
        ({"error": "[invalid bearer token, service account token has expired]"}, Reason.EXPIRED),
        ({"authenticated": True, "user": USER}, Reason.WRONG_AUDIENCE),
        ({"authenticated": True, "user": USER, "audiences": ["other"]}, Reason.WRONG_AUDIENCE),
    ],
)
def test_a_refused_token_says_why_and_what_is_needed(status: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(Refused, match=r"longtask\.dev/mcp") as caught:
        identity(status, "longtask.dev/mcp")
    assert caught.value.reason is reason


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Oracle:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.fail = False

    async def __call__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fail:
            raise LookupError
        return self.asked


async def test_an_answer_is_reused_until_it_is_too_old() -> None:
    clock, oracle = Clock(), Oracle()
    memory: Memory[str, int] = Memory(clock=clock)
    assert await memory.get("a", oracle) == 1
    clock.now += MEMORY_SECONDS
    assert await memory.get("a", oracle) == 1
    clock.now += 0.1
    assert await memory.get("a", oracle) == 2


async def test_those_who_ask_at_the_same_time_share_one_question() -> None:
    oracle = Oracle()
    memory: Memory[str, int] = Memory()
    assert await asyncio.gather(*(memory.get("a", oracle) for _ in range(20))) == [1] * 20


async def test_a_failure_is_not_remembered() -> None:
    oracle = Oracle()
    oracle.fail = True
    memory: Memory[str, int] = Memory()
    with pytest.raises(LookupError):
        await memory.get("a", oracle)
    oracle.fail = False
    assert await memory.get("a", oracle) == 2


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    oracle = Oracle()
    memory: Memory[str, int] = Memory()
    impatient = asyncio.create_task(memory.get("a", oracle))
    patient = asyncio.create_task(memory.get("a", oracle))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 1


async def test_the_memory_is_bounded() -> None:
    oracle = Oracle()
    memory: Memory[int, int] = Memory()
    for number in range(MEMORY_ENTRIES + 1):
        await memory.get(number, oracle)
    asked = oracle.asked
    await memory.get(0, oracle)
    assert oracle.asked == asked + 1


async def test_a_remembered_answer_ends_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def review(_: Any, __: str, body: Any) -> dict[str, Any]:
        asked.append(body["spec"]["token"])
        return {"authenticated": True, "audiences": ["here"], "user": {"username": "somebody"}}

    monkeypatch.setattr(authentication, "submit_review", review)
    reviewer = authentication.TokenReviewer(None, "here", memory_seconds=300)
    for expires_in, times in ((60, 1), (-1, 2)):
        claims = json.dumps({"exp": time.time() + expires_in}).encode()
        token = f"head.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.signature"
        asked.clear()
        for _ in range(2):
            await reviewer.review(token)
        assert asked == [token] * times
