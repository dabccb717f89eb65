"""When an issuer is asked for its keys, and what holds while it does not answer."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from longtask_mcp.oauth.key_cache import (
    INTERVAL_SECONDS,
    MAX_WAITING,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    IssuerUnavailable,
    KeyCache,
)
from longtask_mcp.oauth.key_source import NoKeys, SigningKey
from tests.unit.virtual_time import until_idle

URL = "https://login.example.com"
PUBLIC = ec.generate_private_key(ec.SECP256R1()).public_key()


class Published:
    """An issuer's keys, by kid; a fetch takes `seconds`, and fails while there are none."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.seconds = 0.1
        self.fetches: list[float] = []
        """When each began."""
        self.cache = KeyCache(URL, self.fetch, asyncio.get_running_loop().time)

    async def fetch(self) -> tuple[SigningKey, ...]:
        self.fetches.append(now())
        kids = self.kids
        await asyncio.sleep(self.seconds)
        if not kids:
            raise NoKeys("it answers 500")
        return tuple(SigningKey(kid, "EC", "ES256", PUBLIC) for kid in kids)

    def knows(self, kid: str) -> bool:
        return bool(self.cache.fitting(kid, "ES256"))

    async def refresh(self) -> bool:
        """Whether it is up to date now; if not, the issuer cannot be asked."""
        try:
            await self.cache.refresh()
        except IssuerUnavailable:
            return False
        return True


def now() -> float:
    return asyncio.get_running_loop().time()


def timed(scenario: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test on a clock that jumps, which must reach its end."""

    def run() -> None:
        ended = False

        async def main() -> None:
            nonlocal ended
            await scenario()
            ended = True

        until_idle(main)
        assert ended

    run.__name__, run.__doc__ = scenario.__name__, scenario.__doc__
    return run


@timed
async def test_callers_that_miss_a_key_share_one_fetch() -> None:
    issuer = Published("a")
    assert await asyncio.gather(*(issuer.refresh() for _ in range(50))) == [True] * 50
    assert issuer.knows("a")
    assert not issuer.knows("b")
    assert len(issuer.fetches) == 1


@timed
async def test_another_fetch_waits_for_its_turn() -> None:
    issuer = Published("a")
    await issuer.refresh()
    ended = now()
    issuer.kids = ("b",)
    assert await issuer.refresh()
    assert issuer.fetches[1] == pytest.approx(ended + INTERVAL_SECONDS)
    assert (issuer.knows("a"), issuer.knows("b")) == (False, True)


@timed
async def test_a_fetch_that_began_before_the_key_was_there_is_not_enough() -> None:
    issuer = Published("a")
    first = asyncio.create_task(issuer.refresh())
    await asyncio.sleep(0.05)
    issuer.kids = ("b",)
    assert await issuer.refresh()
    assert issuer.knows("b")
    assert await first


@timed
async def test_keys_outlast_their_issuer() -> None:
    issuer = Published("a")
    following = asyncio.create_task(issuer.cache.follow())
    await asyncio.sleep(1)
    issuer.kids = ()
    for _ in range(20):
        await asyncio.sleep(REFRESH_SECONDS)
        assert issuer.knows("a")
    assert issuer.cache.age() > 20 * REFRESH_SECONDS
    issuer.kids = ("b",)
    await asyncio.sleep(RETRY_SECONDS + 2 * issuer.seconds)
    assert (issuer.knows("a"), issuer.knows("b")) == (False, True)
    following.cancel()


@timed
async def test_an_answer_that_nobody_expected_changes_nothing() -> None:
    issuer = Published("a")
    await issuer.refresh()

    async def broken() -> tuple[SigningKey, ...]:
        raise ZeroDivisionError

    issuer.cache._fetch = broken
    following = asyncio.create_task(issuer.cache.follow())
    assert not await issuer.refresh()
    assert issuer.knows("a")
    following.cancel()


@timed
async def test_an_issuer_that_is_away_is_not_asked_for_every_token() -> None:
    issuer = Published()
    assert not await issuer.refresh()
    for _ in range(100):
        with pytest.raises(IssuerUnavailable, match="it answers 500") as raised:
            await issuer.cache.refresh()
        assert 1 <= raised.value.retry_after <= INTERVAL_SECONDS
    assert len(issuer.fetches) == 1
    issuer.kids = ("a",)
    await asyncio.sleep(raised.value.retry_after)
    assert await issuer.refresh()
    assert issuer.knows("a")


@timed
async def test_an_issuer_that_answers_late_is_waited_for_once() -> None:
    issuer = Published()
    issuer.seconds = 3 * INTERVAL_SECONDS
    assert not await issuer.refresh()
    assert now() == pytest.approx(issuer.seconds)


@timed
async def test_old_keys_are_fetched_again() -> None:
    issuer = Published("a")
    following = asyncio.create_task(issuer.cache.follow())
    await asyncio.sleep(1)
    issuer.kids = ("b",)
    await asyncio.sleep(REFRESH_SECONDS - 2)
    assert (issuer.knows("a"), issuer.knows("b")) == (True, False)
    await asyncio.sleep(2)
    assert (issuer.knows("a"), issuer.knows("b"), len(issuer.fetches)) == (False, True, 2)
    following.cancel()


@timed
async def test_few_callers_wait_at_a_time() -> None:
    issuer = Published("a")
    waits = [asyncio.create_task(issuer.refresh()) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    assert not await issuer.refresh()
    assert await asyncio.gather(*waits) == [True] * MAX_WAITING
    assert await issuer.refresh()


@timed
async def test_a_caller_that_goes_away_leaves_the_fetch_to_the_others() -> None:
    issuer = Published("a")
    leaving, staying = asyncio.create_task(issuer.refresh()), asyncio.create_task(issuer.refresh())
    await asyncio.sleep(0.05)
    leaving.cancel()
    assert await staying
    assert len(issuer.fetches) == 1


@timed
async def test_no_key_is_refused_that_its_issuer_has_just_published() -> None:
    """A new key every 7 seconds, used from the moment that it is published, while forged tokens name unknown ones."""
    issuer = Published("0")
    forged = asyncio.create_task(_forge(issuer))
    for number in range(20):
        issuer.kids = (f"{number}",)
        if not issuer.knows(f"{number}"):
            assert await issuer.refresh()
        assert issuer.knows(f"{number}")
        await asyncio.sleep(7)
    forged.cancel()
    assert len(issuer.fetches) <= now() / INTERVAL_SECONDS + 1


async def _forge(issuer: Published) -> None:
    waits = []
    while True:
        waits.append(asyncio.create_task(issuer.refresh()))
        await asyncio.sleep(0.3)


@timed
async def test_before_the_first_fetch_keys_are_infinitely_old() -> None:
    issuer = Published("a")
    assert issuer.cache.age() == math.inf
    await issuer.refresh()
    assert issuer.cache.age() == pytest.approx(issuer.seconds)


@timed
async def test_a_fetch_in_flight_ends_with_the_server() -> None:
    issuer = Published("a")
    following = asyncio.create_task(issuer.cache.follow())
    await asyncio.sleep(issuer.seconds / 2)
    following.cancel()
    await asyncio.sleep(2 * issuer.seconds)
    assert (issuer.knows("a"), len(issuer.fetches)) == (False, 1)
