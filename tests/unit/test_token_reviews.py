"""How often the API server is asked about tokens that it refuses, and which tokens cannot be read at all."""

import asyncio
import base64
import json
from typing import Any

import pytest

from longtask_runtime import authentication
from longtask_runtime.authentication import (
    MEMORY_ENTRIES,
    REFUSED_SECONDS,
    Reason,
    Refusals,
    Refused,
    TokenReviewer,
)

Asked = list[str]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The tokens that were reviewed; only `good` is accepted."""
    tokens: Asked = []

    async def review(_: Any, __: str, body: Any) -> dict[str, Any]:
        tokens.append(body["spec"]["token"])
        await asyncio.sleep(0)
        if tokens[-1] != "good":
            return {"error": "invalid bearer token"}
        return {"authenticated": True, "audiences": ["here"], "user": {"username": "somebody"}}

    monkeypatch.setattr(authentication, "submit_review", review)
    return tokens


def _reviewer() -> TokenReviewer:
    return TokenReviewer(None, "here")


def _jwt(claims: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(claims.encode()).rstrip(b'=').decode()}.signature"


async def _outcome(reviewer: TokenReviewer, token: str) -> str:
    try:
        return (await reviewer.review(token)).username
    except Refused as refused:
        return refused.reason


EXPIRED = _jwt('{"exp": 1}')


@pytest.mark.parametrize("token", ["bad", EXPIRED], ids=["invalid", "expired"])
async def test_one_bad_token_is_asked_about_once_however_often_it_is_shown(asked: Asked, token: str) -> None:
    reviewer = _reviewer()
    together = await asyncio.gather(*(_outcome(reviewer, token) for _ in range(100)))
    later = [await _outcome(reviewer, token) for _ in range(100)]
    assert {*together, *later} == {Reason.INVALID}
    assert asked == [token]


async def test_a_good_token_is_not_driven_out_by_bad_ones(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "MEMORY_ENTRIES", 3)
    reviewer = _reviewer()
    for token in ("good", *(f"bad-{number}" for number in range(20)), "good"):
        await _outcome(reviewer, token)
    assert asked.count("good") == 1


def test_a_refusal_is_forgotten_after_some_seconds() -> None:
    now = [100.0]
    refusals = Refusals(clock=lambda: now[0])
    refusals.remember("a", Refused(Reason.EXPIRED, "it has expired"))
    now[0] += REFUSED_SECONDS
    with pytest.raises(Refused, match="it has expired") as caught:
        refusals.recall("a")
    assert caught.value.reason is Reason.EXPIRED
    now[0] += 0.1
    refusals.recall("a")


def test_as_many_refusals_are_remembered_as_answers() -> None:
    refusals = Refusals(clock=lambda: 0.0)
    for number in range(MEMORY_ENTRIES + 1):
        refusals.remember(str(number), Refused(Reason.INVALID, "no"))
    refusals.recall("0")
    with pytest.raises(Refused):
        refusals.recall("1")


ODD: dict[str, str] = {
    "an integer beyond a float": _jwt(json.dumps({"exp": 10**400})),
    "infinity": _jwt('{"exp": Infinity}'),
    "not a number": _jwt('{"exp": NaN}'),
    "a text": _jwt('{"exp": "tomorrow"}'),
    "a list": _jwt('{"exp": [1]}'),
    "negative beyond a float": _jwt(json.dumps({"exp": -(10**400)})),
    "claims that are a list": _jwt("[]"),
    "claims that are deep": _jwt("[" * 4000),
    "claims that are no JSON": _jwt("{"),
    "claims that are no base64": "a.\x80\xff.c",
    "half a surrogate": "a.\ud800.c",
    "a stray NUL": "a.\0.c",
    "dots alone": "...",
}


@pytest.mark.parametrize("case", ODD)
async def test_a_token_that_makes_no_sense_is_refused_like_any_other(asked: Asked, case: str) -> None:
    assert await _outcome(_reviewer(), ODD[case]) == Reason.INVALID
