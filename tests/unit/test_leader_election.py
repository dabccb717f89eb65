"""Two replicas and one Lease, on a clock that jumps: whatever the API server's answers take, they never both lead."""

import asyncio
import itertools
import random
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client import ApiClient

from longtask_operator import leader_election
from longtask_operator.leader_election import LeaderElector, NotLeading
from longtask_runtime.kube import KubeError
from tests.unit.virtual_time import until_idle

DURATION = 3
HOUR = 3600.0
LOOK = 0.05
"""Seconds between two looks at a replica's term."""
GONE = 60.0
"""Seconds. Whoever has asked has given up long before."""


class ApiServer:
    """Holds the Lease. A request arrives after some time and is answered after some more."""

    def __init__(self, dice: random.Random, slowest: float, lost: float) -> None:
        self._dice = dice
        self._slowest = slowest
        self._lost = lost
        self._version = 0
        self._lease: dict[str, Any] | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    async def request(
        self, client: object, verb: str, path: str, *, body: dict[str, Any] | None = None, **_: object
    ) -> Any:
        """As `kube.request`. What was sent arrives, also when its sender has given up."""
        sent = asyncio.create_task(self._on_its_way(verb, body))
        self._under_way.add(sent)
        sent.add_done_callback(self._under_way.discard)
        answer = await asyncio.shield(sent)
        await asyncio.sleep(self._delay())
        if isinstance(answer, KubeError):
            raise answer
        return answer

    async def _on_its_way(self, verb: str, body: dict[str, Any] | None) -> Any:
        await asyncio.sleep(self._delay())
        if self._dice.random() < self._lost / 4:
            return KubeError(500, "InternalError", "etcd is away")
        if verb == "GET":
            return self._lease or KubeError(404, "NotFound", "no such lease")
        assert body is not None
        known = (self._lease or {"metadata": {}})["metadata"].get("resourceVersion")
        if body["metadata"].get("resourceVersion") != known:
            return KubeError(409, "Conflict", "it has changed")
        self._version += 1
        now = datetime.fromtimestamp(int(asyncio.get_running_loop().time()), UTC)
        metadata = body["metadata"] | {
            "resourceVersion": str(self._version),
            "managedFields": [{"time": now.isoformat()}],
        }
        self._lease = body | {"metadata": metadata}
        return self._lease

    def _delay(self) -> float:
        return GONE if self._dice.random() < self._lost else self._dice.uniform(0, self._slowest)


class Replica:
    """Notes from when to when it led, and how long it would have let a write go on."""

    def __init__(self, name: str) -> None:
        self.unfit: str | None = None
        clock, unfit = lambda: asyncio.get_running_loop().time(), lambda: self.unfit
        self.lease = LeaderElector(ApiClient(), "ns", "lease", name, DURATION, clock, unfit)
        self.led: list[tuple[float, float]] = []
        self.alone_since: list[float] = []
        """For each term: since when it thinks that no other replica has led."""

    async def lead(self) -> None:
        loop = asyncio.get_running_loop()
        begun, until = loop.time(), 0.0
        since = self.lease.leads_since
        self.alone_since.append(since.timestamp())
        try:
            while True:
                assert self.lease.leads_since >= since, "it goes back within a term"
                term = self.lease.term()
                until = loop.time() + term.seconds
                assert term.not_after.timestamp() >= until, "its writes would be refused while it leads"
                await asyncio.sleep(LOOK)
        except NotLeading:
            await asyncio.sleep(HOUR)
        finally:
            self.led.append((begun, min(until, loop.time())))


@pytest.mark.parametrize("slowest", [0.0, 0.2, 0.9, 1.4])
@pytest.mark.parametrize("lost", [0.0, 0.2])
def test_no_two_replicas_lead_at_the_same_time(monkeypatch: pytest.MonkeyPatch, slowest: float, lost: float) -> None:
    replicas = [Replica("one"), Replica("two"), Replica("three")]
    monkeypatch.setattr(
        leader_election, "request", ApiServer(random.Random(f"{slowest} {lost}"), slowest, lost).request
    )

    async def for_a_while() -> None:
        running = [asyncio.create_task(replica.lease.run(replica.lead)) for replica in replicas]
        await asyncio.sleep(150)
        for task in running:
            task.cancel()
        for result in await asyncio.gather(*running, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result

    until_idle(for_a_while)

    terms = sorted(
        (*term, since) for replica in replicas for term, since in zip(replica.led, replica.alone_since, strict=True)
    )
    assert terms, "nobody ever led"
    for (_, ended, _), (begun, _, since) in itertools.pairwise(terms):
        assert ended <= begun, f"one led until {ended} and the next from {begun}"
        assert ended < since + 1, f"one led until {ended}, and the next says that it is alone since {since}"


@pytest.mark.parametrize("verbs", [("GET", "PUT"), ("PUT",)])
@pytest.mark.parametrize("answer", ["never", "refused"])
def test_a_renewal_that_does_not_come_through_ends_the_term_in_time(
    monkeypatch: pytest.MonkeyPatch, verbs: tuple[str, ...], answer: str
) -> None:
    replica, server = Replica("one"), ApiServer(random.Random(0), 0.0, 0.0)
    monkeypatch.setattr(leader_election, "request", server.request)
    ended_after = HOUR

    async def cut(client: object, verb: str, path: str, **more: Any) -> Any:
        if verb not in verbs:
            return await server.request(client, verb, path, **more)
        if answer == "never":
            await asyncio.sleep(HOUR)
        raise KubeError(403, "Forbidden", "you may not any more")

    async def cut_off() -> None:
        nonlocal ended_after
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(replica.lease.run(replica.lead))
        await asyncio.sleep(10)
        monkeypatch.setattr(leader_election, "request", cut)
        begun = loop.time()
        while not replica.led:  # noqa: ASYNC110 - on a clock that jumps
            await asyncio.sleep(LOOK)
        ended_after = loop.time() - begun
        running.cancel()

    until_idle(cut_off)
    assert ended_after < DURATION * 2 / 3 + 2 * LOOK


def test_a_standby_and_one_whose_time_is_over_have_no_term(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> Any:
        raise aiohttp.ClientConnectionError("no API server")

    async def stand_by() -> None:
        lease = LeaderElector(ApiClient(), "ns", "lease", "one", DURATION, lambda: asyncio.get_running_loop().time())
        with pytest.raises(NotLeading, match="one does not hold Lease lease"):
            lease.term()

    monkeypatch.setattr(leader_election, "request", refused)
    until_idle(stand_by)


@pytest.mark.parametrize("entries", [None, [], [{}]], ids=["no-list", "empty", "without-a-time"])
def test_a_lease_that_does_not_say_when_it_was_written_is_led_from_when_that_was_sent(
    monkeypatch: pytest.MonkeyPatch, entries: list[dict[str, str]] | None
) -> None:
    server, begun = ApiServer(random.Random(0), 0.0, 0.0), datetime.now(UTC)
    found: list[datetime] = []

    async def request(client: object, verb: str, path: str, **more: Any) -> Any:
        lease = await server.request(client, verb, path, **more)
        return {**lease, "metadata": {**lease["metadata"], "managedFields": entries}}

    async def lead() -> None:
        found.append(lease.term().not_after)
        await asyncio.sleep(HOUR)

    async def lead_for_a_while() -> None:
        running = asyncio.create_task(lease.run(lead))
        await asyncio.sleep(5)
        running.cancel()

    lease = LeaderElector(ApiClient(), "ns", "lease", "one", DURATION, lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr(leader_election, "request", request)
    until_idle(lead_for_a_while)
    assert found
    assert begun <= found[0]


def test_since_when_it_leads_without_a_break_is_told_anew_after_a_time_without_the_api_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The term outlasts the time: nothing else tells that no report could be stored in it."""
    answers = ApiServer(random.Random(0), 0.0, 0.0)
    mark = datetime.fromtimestamp(0, UTC)
    seen: list[bool] = []

    async def refused(*_: object, **__: object) -> Any:
        raise aiohttp.ClientConnectionError("no API server")

    async def lead() -> None:
        await asyncio.sleep(HOUR)

    async def away_for_a_while() -> None:
        lease = LeaderElector(ApiClient(), "ns", "lease", "one", 60, lambda: asyncio.get_running_loop().time())
        running = asyncio.create_task(lease.run(lead))
        await asyncio.sleep(1)
        lease.unbroken_since = mark
        for away in (0, 25, 0):
            monkeypatch.setattr(leader_election, "request", refused)
            await asyncio.sleep(away)
            monkeypatch.setattr(leader_election, "request", answers.request)
            await asyncio.sleep(60)
            lease.term()
            seen.append(lease.unbroken_since is mark)
            lease.unbroken_since = mark
        running.cancel()

    monkeypatch.setattr(leader_election, "request", answers.request)
    until_idle(away_for_a_while)
    assert seen == [True, False, True]


def test_a_replica_that_was_paused_before_it_led_does_not_think_that_it_has_led_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stands still between the answer to the write that makes it the leader, and its look at what is left of it."""
    server, pause, since = ApiServer(random.Random(0), 0.0, 0.0), 0.0, list[float]()

    async def paused_after_the_first_write(client: object, verb: str, path: str, **more: Any) -> Any:
        nonlocal pause
        answer = await server.request(client, verb, path, **more)
        now = datetime.fromtimestamp(int(asyncio.get_running_loop().time() + pause), UTC)
        if verb == "POST":
            pause = 10 * DURATION  # what follows sees clocks that have gone on
        return {**answer, "metadata": {**answer["metadata"], "managedFields": [{"time": now.isoformat()}]}}

    async def lead() -> None:
        since.append(lease.leads_since.timestamp())
        await asyncio.sleep(HOUR)

    async def for_a_while() -> None:
        running = asyncio.create_task(lease.run(lead))
        await asyncio.sleep(60)
        running.cancel()

    lease = LeaderElector(
        ApiClient(), "ns", "lease", "one", DURATION, lambda: asyncio.get_running_loop().time() + pause
    )
    monkeypatch.setattr(leader_election, "request", paused_after_the_first_write)
    until_idle(for_a_while)
    assert len(since) == 1
    assert since[0] >= 10 * DURATION, "since the write that came before the pause"


def test_a_renewal_is_one_request_and_outlives_what_others_write_into_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, verbs = ApiServer(random.Random(0), 0.0, 0.0), list[str]()
    replica = Replica("one")

    async def request(client: object, verb: str, path: str, **more: Any) -> Any:
        verbs.append(verb)
        return await server.request(client, verb, path, **more)

    async def lead_for_a_while() -> None:
        running = asyncio.create_task(replica.lease.run(replica.lead))
        await asyncio.sleep(1)
        verbs.clear()
        await asyncio.sleep(10)
        assert set(verbs) == {"PUT"}
        edited = await server.request(None, "GET", "")
        await server.request(None, "PUT", "", body=edited | {"spec": edited["spec"] | {"note": "by hand"}})
        verbs.clear()
        await asyncio.sleep(DURATION)
        assert verbs[:4] == ["PUT", "GET", "PUT", "PUT"]
        replica.lease.term()
        running.cancel()

    monkeypatch.setattr(leader_election, "request", request)
    until_idle(lead_for_a_while)
    assert len(replica.led) == 1, "it lost the Lease in between"


def test_a_lease_that_somebody_deletes_is_made_again_and_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    server, replica = ApiServer(random.Random(0), 0.0, 0.0), Replica("one")
    monkeypatch.setattr(leader_election, "request", server.request)

    async def lead_for_a_while() -> None:
        running = asyncio.create_task(replica.lease.run(replica.lead))
        for _ in range(2):
            await asyncio.sleep(DURATION)
            server._lease = None
        await asyncio.sleep(DURATION)
        assert server._lease is not None
        replica.lease.term()
        running.cancel()

    until_idle(lead_for_a_while)
    assert len(replica.led) == 1, "it lost the Lease in between"


def test_why_the_lease_was_lost_is_logged_and_each_time_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = ApiServer(random.Random(0), 0.0, 0.0)
    lost: list[str] = []

    async def refused(*_: object, **__: object) -> Any:
        raise TimeoutError

    async def lead() -> None:
        await asyncio.sleep(HOUR)

    async def away_for_long() -> None:
        clock = asyncio.get_running_loop().time
        lease = LeaderElector(ApiClient(), "ns", "lease", "one", DURATION, clock, lost=lambda: lost.append("one"))
        running = asyncio.create_task(lease.run(lead))
        await asyncio.sleep(1)
        monkeypatch.setattr(leader_election, "request", refused)
        await asyncio.sleep(2 * DURATION)
        monkeypatch.setattr(leader_election, "request", answers.request)
        running.cancel()

    monkeypatch.setattr(leader_election, "request", answers.request)
    until_idle(away_for_long)
    told = [each.getMessage() for each in caplog.records if "lost the lease" in each.getMessage()]
    assert told == ["lost the lease: reading it failed until its time was over: TimeoutError: no answer in time"]
    assert lost == ["one"]


def test_a_leader_that_is_not_fit_any_more_gives_the_lease_to_one_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes it again, once it is fit and the Lease is free."""
    one, two = Replica("one"), Replica("two")
    monkeypatch.setattr(leader_election, "request", ApiServer(random.Random(0), 0.2, 0.0).request)
    leads: list[list[bool]] = []

    def now() -> list[bool]:
        return [replica.lease._left() > 0 for replica in (one, two)]

    async def for_a_while() -> None:
        running = [asyncio.create_task(one.lease.run(one.lead))]
        await asyncio.sleep(10)
        running.append(asyncio.create_task(two.lease.run(two.lead)))
        for unfit in ((None, None), ("deaf", None), ("deaf", "deaf"), (None, "deaf")):
            one.unfit, two.unfit = unfit
            await asyncio.sleep(10)
            leads.append(now())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    until_idle(for_a_while)
    assert leads == [[True, False], [False, True], [False, False], [True, False]]
    terms = sorted(one.led + two.led)
    assert all(ended <= begun for (_, ended), (begun, _) in itertools.pairwise(terms))
    handed_over = two.led[0][0] - one.led[0][1]
    assert handed_over < DURATION  # it was given, and did not have to run out


@pytest.mark.parametrize("stops", [True, False], ids=["a stop", "unfit"])
@pytest.mark.parametrize("late", [True, False], ids=["just now", "long before"])
def test_the_lease_is_not_given_back_while_a_write_that_got_no_answer_may_be_taken(
    monkeypatch: pytest.MonkeyPatch, *, stops: bool, late: bool
) -> None:
    one, two = Replica("one"), Replica("two")
    monkeypatch.setattr(leader_election, "request", ApiServer(random.Random(0), 0.2, 0.0).request)
    open_until: list[float] = []

    async def for_a_while() -> None:
        first = asyncio.create_task(one.lease.run(one.lead))
        await asyncio.sleep(10)
        if not late:
            one.lease.unanswered()
        second = asyncio.create_task(two.lease.run(two.lead))
        await asyncio.sleep(10)
        if late:
            one.lease.unanswered()
        open_until.append(one.lease.term().not_after.timestamp())
        if stops:
            first.cancel()
        one.unfit = "deaf"
        await asyncio.sleep(10)
        second.cancel()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)

    until_idle(for_a_while)
    assert (two.led[0][0] >= open_until[0]) == late
