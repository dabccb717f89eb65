"""Where events go in a conversation: never into a turn, and in the order in which they were placed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtask_operator.agentcore.models import Event
from longtask_operator.delivery import payload
from longtask_operator.delivery.messages import Pair
from longtask_operator.delivery.timeline import BEFORE_ALL, MILLISECOND, Placement, place, place_in_newest
from tests.unit.given import at

Payload = list[dict[str, Any]]


def text(role: str, *content: dict[str, Any]) -> str:
    """A message as the session manager writes it."""
    return json.dumps({"message": {"role": role, "content": list(content)}, "message_id": 0})


def said(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"conversational": {"content": {"text": text(role, *content)}, "role": role.upper()}}


ASKED = said("user", {"text": "Train it."})
CALLED = said("assistant", {"text": "I will."}, {"toolUse": {"toolUseId": "1", "name": "t", "input": {}}})
GAVE = said("user", {"toolResult": {"toolUseId": "1", "content": []}})
DONE = said("assistant", {"text": "It runs."})
STATE = {"blob": json.dumps({"agent_id": "default", "state": {}})}
OURS: Payload = json.loads(payload.payload(Pair("notice", "noted"), at(0)))
LONG = {"blob": json.dumps([text("assistant", {"text": "a" * 100_000}), "assistant"])}
LONG_CALL = {"blob": json.dumps([text("assistant", {"toolUse": {"input": "a" * 100_000}}), "assistant"])}


def session(**events: dict[str, Any] | Payload) -> list[Event]:
    """Events, newest first, by their times: t5 is 5 s after ten, t5_2 is 2 ms later."""
    found = []
    for name, items in events.items():
        seconds, _, milliseconds = name[1:].partition("_")
        moment = at(int(seconds)) + int(milliseconds or 0) * MILLISECOND
        found.append(Event(name, moment, tuple(items) if isinstance(items, list) else (items,), {}))
    return sorted(found, key=lambda event: event.time, reverse=True)


def odd_message(content: Any) -> dict[str, Any]:
    """A message of the assistant that the session manager would not write so."""
    odd = json.dumps({"message": {"role": "assistant", "content": content}})
    return {"conversational": {"content": {"text": odd}, "role": "ASSISTANT"}}


TURN = {"t1": ASKED, "t2": CALLED, "t3": GAVE, "t4": DONE}
AFTER_TURN = at(4) + MILLISECOND
BEFORE_FIRST = at(1) - BEFORE_ALL
PLACES: dict[str, tuple[dict[str, Any], datetime, bool]] = {
    "a completed turn": (TURN, AFTER_TURN, False),
    "a turn that has just begun": (TURN | {"t5": ASKED}, AFTER_TURN, True),
    "between toolUse and toolResult": (TURN | {"t5": ASKED, "t6": CALLED}, AFTER_TURN, True),
    "after a toolResult": (TURN | {"t5": ASKED, "t6": CALLED, "t7": GAVE}, AFTER_TURN, True),
    "a later completed turn": (TURN | {"t5": ASKED, "t6": DONE}, at(6) + MILLISECOND, False),
    "an agent that crashed in a turn and went on": (
        {"t1": ASKED, "t2": CALLED, "t5": ASKED, "t6": DONE},
        at(6) + MILLISECOND,
        False,
    ),
    "an agent that crashed in its second turn and went on": (
        TURN | {"t5": ASKED, "t6": CALLED, "t7": ASKED},
        AFTER_TURN,
        True,
    ),
    "an agent that crashed in its first turn": ({"t1": ASKED, "t2": CALLED}, BEFORE_FIRST, True),
    "a first message alone": ({"t1": ASKED}, BEFORE_FIRST, True),
    "an earlier event of ours before the first message": (
        {"t1": ASKED, "t0": OURS},
        at(0) + MILLISECOND,
        True,
    ),
    "an earlier event of ours after the turn": (TURN | {"t4_1": OURS}, AFTER_TURN + MILLISECOND, False),
    "state after the turn": (TURN | {"t4_1": STATE, "t4_2": STATE, "t9": STATE}, at(4) + 3 * MILLISECOND, False),
    "state in an open turn": (TURN | {"t4_1": STATE, "t5": ASKED, "t5_1": STATE}, at(4) + 2 * MILLISECOND, True),
    "state before the first message": ({"t0": STATE, "t1": ASKED}, at(0) - BEFORE_ALL, True),
    "state alone: an agent that holds messages back": ({"t0": STATE, "t1": STATE}, at(0) - BEFORE_ALL, False),
    "several messages in one event": ({"t1": [ASKED, CALLED, GAVE, DONE]}, at(1) + MILLISECOND, False),
    "several messages in one event that ends in mid-turn": (
        {"t1": [ASKED, DONE], "t2": [ASKED, DONE, ASKED, CALLED]},
        at(1) + MILLISECOND,
        True,
    ),
    "a long message": ({"t1": ASKED, "t2": LONG}, at(2) + MILLISECOND, False),
    "a long call": (TURN | {"t5": ASKED, "t6": LONG_CALL}, AFTER_TURN, True),
    "a blob of somebody else": (TURN | {"t5": {"blob": json.dumps(["note", "user"])}}, AFTER_TURN, False),
    "a blob that is no text": (TURN | {"t5": {"blob": {"a": 1}}}, AFTER_TURN, False),
    "a JSON payload": (TURN | {"t5": {"json": {"content": {"role": "user"}}}}, AFTER_TURN, False),
    "plain text of a user": (
        TURN | {"t5": {"conversational": {"content": {"text": "hello"}, "role": "USER"}}},
        AFTER_TURN,
        True,
    ),
    "plain text of an assistant": (
        TURN | {"t5": ASKED, "t6": {"conversational": {"content": {"text": "[1]"}, "role": "ASSISTANT"}}},
        at(6) + MILLISECOND,
        False,
    ),
    "a blank message, which is not restored": (
        TURN | {"t5": ASKED, "t6": said("assistant", {"text": " "})},
        AFTER_TURN,
        True,
    ),
    "content that is a number": (TURN | {"t5": odd_message(7)}, AFTER_TURN, True),
    "content that is true": (TURN | {"t5": odd_message(True)}, AFTER_TURN, True),
    "content that is an object": (TURN | {"t5": odd_message({"text": "a"})}, AFTER_TURN, True),
    "content that is a text": (TURN | {"t5": ASKED, "t6": odd_message("It runs.")}, at(6) + MILLISECOND, False),
    "content of texts": (TURN | {"t5": ASKED, "t6": odd_message(["It", "runs."])}, at(6) + MILLISECOND, False),
    "content of blobs": (TURN | {"t5": ASKED, "t6": odd_message([{"blob": 1}, None])}, at(6) + MILLISECOND, False),
    "a role that is a number": (
        TURN | {"t5": {"conversational": {"content": {"text": "a"}, "role": 7}}},
        AFTER_TURN,
        True,
    ),
    "no content and no role": (TURN | {"t5": {"conversational": {}}}, AFTER_TURN, True),
    "what was said is a list": (TURN | {"t5": {"conversational": [1]}}, AFTER_TURN, True),
    "what was said is nothing": (TURN | {"t5": {"conversational": None}}, AFTER_TURN, True),
    "a payload of other things": (TURN | {"t5": [1, None, "text", [[]], {}]}, AFTER_TURN, False),
    "an event without payload": (TURN | {"t5": []}, AFTER_TURN, False),
    "no room behind the newest turn": (
        TURN | {"t5": ASKED, "t6": DONE, "t6_1": STATE, "t6_2": ASKED},
        AFTER_TURN,
        True,
    ),
    "no room behind any turn": ({"t1": ASKED, "t2": DONE, "t2_1": ASKED}, BEFORE_FIRST, True),
}


@pytest.mark.parametrize(("events", "time", "turn_open"), PLACES.values(), ids=PLACES)
def test_an_event_goes_behind_the_last_completed_turn(events: Any, time: datetime, turn_open: bool) -> None:
    assert place(session(**events), (), at(99)) == Placement(time, turn_open)


KEYS = st.sampled_from(["role", "content", "text", "toolUse", "message", "blob"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(KEYS, some, max_size=3),
    max_leaves=9,
)
JSON_TEXT = JSON.map(json.dumps)
SAID = st.fixed_dictionaries({"role": JSON, "content": st.fixed_dictionaries({"text": JSON | JSON_TEXT})})
BLOB = JSON | st.tuples(JSON_TEXT, JSON).map(json.dumps)
ITEMS = JSON | st.fixed_dictionaries({"conversational": JSON | SAID}) | st.fixed_dictionaries({"blob": BLOB})


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(ITEMS, max_size=2), max_size=3))
def test_whatever_stands_in_a_session_an_event_finds_its_place(payloads: list[list[Any]]) -> None:
    odd = {f"t{5 + number}": items for number, items in enumerate(payloads)}
    assert place(session(**TURN, **odd), (), at(99)).time >= AFTER_TURN


@pytest.mark.parametrize("skew", [-3600, -5, 0, 5, 3600])
def test_the_clock_of_the_agent_does_not_count(skew: int) -> None:
    assert place(session(**TURN), (), at(4 + skew)).time == AFTER_TURN


def test_in_an_empty_session_it_goes_before_what_an_agent_may_have_begun() -> None:
    assert place([], (), at(99)) == Placement(at(99) - BEFORE_ALL, turn_open=False)


TAKEN: dict[str, tuple[dict[str, Any], list[datetime], datetime]] = {
    "behind the turn": (TURN, [AFTER_TURN], AFTER_TURN + MILLISECOND),
    "later behind the turn": (TURN, [at(4.5)], at(4.5) + MILLISECOND),
    "at the next message": (TURN | {"t5": ASKED}, [at(5)], AFTER_TURN),
    "behind the turn before one that is open": (TURN | {"t5": ASKED}, [AFTER_TURN], AFTER_TURN + MILLISECOND),
    "in an older gap": (TURN | {"t5": ASKED, "t6": DONE}, [AFTER_TURN], at(6) + MILLISECOND),
    "before the first message": ({"t1": ASKED}, [BEFORE_FIRST], BEFORE_FIRST + MILLISECOND),
    "in an empty session": ({}, [at(90), at(120)], at(120) + MILLISECOND),
    "long ago": ({}, [at(3)], at(99) - BEFORE_ALL),
    "up to the next message": (
        TURN | {"t5": ASKED, "t6": DONE, "t6_2": ASKED},
        [at(6) + MILLISECOND],
        AFTER_TURN,
    ),
    "up to the first message": (
        {"t1": ASKED},
        [at(1) - MILLISECOND, BEFORE_FIRST],
        BEFORE_FIRST - MILLISECOND,
    ),
}


@pytest.mark.parametrize(("events", "taken", "time"), TAKEN.values(), ids=TAKEN)
def test_it_goes_behind_events_that_are_not_in_the_list_yet(events: Any, taken: list[datetime], time: datetime) -> None:
    assert place(session(**events), taken, at(99)).time == time


def test_places_have_whole_milliseconds() -> None:
    precise = timedelta(microseconds=999)
    (event,) = session(t1=OURS)
    moved = Event("a", event.time + precise, event.payload, {})
    assert place([moved], [], at(99)).time == at(1) + MILLISECOND
    assert place([moved], [at(1) + MILLISECOND + precise], at(99)).time == at(1) + 2 * MILLISECOND
    assert place([], [], at(99) + precise).time == at(99) - BEFORE_ALL


def test_the_newest_events_decide_where_they_have_a_place() -> None:
    events = session(**TURN, t5=ASKED, t6=CALLED, t7=STATE)
    decided = [place_in_newest(events[:count], ()) for count in range(len(events) + 1)]
    assert decided == [None] * 4 + [Placement(AFTER_TURN, turn_open=True)] * 4


# Random conversations. An agent writes a message at a time, or several in an event; it may end or crash anywhere, and
# another process opens the session again. Events of ours are placed anywhere in between, and written then or later.


@dataclass
class World:
    """A session, an agent that talks in it, and what was placed."""

    skew: timedelta
    now: datetime
    events: list[Event] = field(default_factory=list)
    placed: list[datetime] = field(default_factory=list)
    unwritten: list[datetime] = field(default_factory=list)
    held: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    batch: int = 1

    def tick(self, milliseconds: int) -> datetime:
        """Let time pass; the agent's time then."""
        self.now += milliseconds * MILLISECOND
        return self.now + self.skew

    def write(self, moment: datetime, items: Sequence[dict[str, Any]], *, ours: bool = False) -> None:
        self.events.append(Event("ours" if ours else "agent", moment, tuple(items), {}))

    def say(self, item: dict[str, Any], milliseconds: int) -> None:
        self.held.append((self.tick(milliseconds), item))
        if len(self.held) >= self.batch:
            self.flush()

    def flush(self) -> None:
        if self.held:
            self.write(self.held[-1][0], [item for _, item in self.held])
        self.held = []

    def place(self, *, write: bool) -> None:
        newest_first = sorted(self.events, key=lambda event: event.time, reverse=True)
        time = place(newest_first, self.unwritten, self.now).time
        self.placed.append(time)
        self.unwritten.append(time)
        if write:
            self.catch_up()

    def catch_up(self) -> None:
        for time in self.unwritten:
            self.write(time, OURS, ours=True)
        self.unwritten = []

    def in_order(self) -> list[Event]:
        return sorted(self.events, key=lambda event: event.time)


PAUSE = st.integers(50, 5000)
"""Milliseconds between two messages: more than there are events of ours, so that no gap is full."""
PLACING = st.one_of(st.none(), st.none(), st.booleans())
"""Whether an event of ours is placed at that point, and written at once."""


@st.composite
def conversations(draw: st.DrawFn) -> World:
    world = World(timedelta(seconds=draw(st.integers(-30, 30))), at(1000))

    def meanwhile() -> None:
        if len(world.placed) < 12 and (write := draw(PLACING)) is not None:
            world.place(write=write)

    meanwhile()
    for _ in range(draw(st.integers(0, 3))):
        world.batch = draw(st.sampled_from([1, 1, 2, 3, 7]))
        world.write(world.tick(draw(PAUSE)), [STATE])
        meanwhile()
        for _ in range(draw(st.integers(0, 3))):
            turn = [ASKED, *[CALLED, GAVE] * draw(st.integers(0, 2)), DONE]
            said_before_crash = draw(st.one_of(st.none(), st.integers(1, len(turn) - 1)))
            for item in turn[:said_before_crash]:
                world.say(item, draw(PAUSE))
                if item is DONE:
                    world.write(world.tick(1), [STATE])
                meanwhile()
            if said_before_crash is not None:
                world.held = []
                break
        world.flush()
    meanwhile()
    world.catch_up()
    return world


def messages(events: Sequence[Event]) -> list[tuple[dict[str, Any], str]]:
    return [
        (json.loads(item["conversational"]["content"]["text"])["message"], event.event_id)
        for event in events
        for item in event.payload
        if "conversational" in item
    ]


@settings(max_examples=400, deadline=None)
@given(conversations())
def test_no_event_breaks_a_turn(world: World) -> None:
    """What stood side by side in a turn still does."""
    told = messages(world.in_order())
    for (before, _), (after, who) in pairwise(told):
        if who == "ours" and after["role"] == "user":
            assert before["role"] == "assistant"
            assert "toolUse" not in before["content"][-1]


@settings(max_examples=400, deadline=None)
@given(conversations())
def test_roles_alternate_wherever_they_did(world: World) -> None:
    own = messages([event for event in world.in_order() if event.event_id == "agent"])
    broken = sum(a["role"] == b["role"] for (a, _), (b, _) in pairwise(own))
    assert sum(a["role"] == b["role"] for (a, _), (b, _) in pairwise(messages(world.in_order()))) == broken


@settings(max_examples=400, deadline=None)
@given(conversations())
def test_events_stand_in_the_order_in_which_they_were_placed_each_at_a_time_of_its_own(world: World) -> None:
    assert world.placed == sorted(set(world.placed))
    times = [event.time for event in world.events]
    assert len(times) == len(set(times))
