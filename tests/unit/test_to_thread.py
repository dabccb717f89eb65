"""Clients that are made in threads: never in the caller's, once for all who want one, anew without credentials."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from botocore.exceptions import NoCredentialsError

from longtask_operator import to_thread
from longtask_operator.to_thread import ThreadedClient


class Client:
    """What boto3 would make; `made_in` is the thread that did."""

    def __init__(self) -> None:
        self.made_in = threading.current_thread()
        self.closed = False

    def close(self) -> None:
        self.closed = True


async def test_a_client_is_made_once_and_not_in_the_event_loops_thread() -> None:
    clients = ThreadedClient(Client, 8, "test")
    together = threading.Barrier(8)

    def use(client: Client) -> Client:
        together.wait(30)
        return client

    used = await asyncio.gather(*(clients.call(use) for _ in range(8)))
    clients.close()
    assert len(set(used)) == 1
    assert used[0].made_in is not threading.current_thread()
    assert used[0].closed


async def test_once_it_is_prepared_no_call_waits_for_a_thread_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = ThreadedClient(Client, 8, "test")
    await clients.prepare()
    monkeypatch.delattr(threading.Thread, "start")
    together = threading.Barrier(8)
    await asyncio.gather(*(clients.call(lambda _: together.wait(30)) for _ in range(8)))
    clients.close()


async def test_nothing_is_made_before_the_first_call() -> None:
    def refuse() -> Client:
        raise AssertionError("it was made")

    ThreadedClient(refuse, 1, "test").close()


async def test_credentials_are_looked_for_again_once_by_all_who_found_none() -> None:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client())
        return made[-1]

    clients = ThreadedClient(make, 4, "test")
    together = threading.Barrier(4)

    def find(client: Client) -> Client:
        if client is made[0]:
            together.wait(30)
            raise NoCredentialsError
        return client

    lost = await asyncio.gather(*(clients.call(find) for _ in range(4)), return_exceptions=True)
    found = await asyncio.gather(*(clients.call(find) for _ in range(4)))
    clients.close()
    assert [type(each) for each in lost] == [NoCredentialsError] * 4
    assert found == [made[1]] * 4


async def test_a_client_that_cannot_be_made_is_tried_anew() -> None:
    attempts: Iterator[RuntimeError | Client] = iter([RuntimeError("no region"), Client()])

    def make() -> Client:
        outcome = next(attempts)
        if isinstance(outcome, RuntimeError):
            raise outcome
        return outcome

    clients = ThreadedClient(make, 1, "test")
    with pytest.raises(RuntimeError, match="no region"):
        await clients.call(lambda client: client)
    assert isinstance(await clients.call(lambda client: client), Client)
    clients.close()


async def test_a_thread_that_cannot_be_started_leaves_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, list[threading.Thread]()

    def start_some(thread: threading.Thread) -> None:
        if thread.name.startswith("scarce"):
            if len(started) == 2:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(to_thread, "START_SECONDS", 0.1)
    monkeypatch.setattr(threading.Thread, "start", start_some)
    clients = ThreadedClient(Client, 8, "scarce")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await clients.prepare()
    clients.close()
    for thread in started:
        thread.join(30)
    assert not any(thread.is_alive() for thread in started)
