"""What the operations do. Each takes the checked arguments of its call and gives the members of its answer."""

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from agentcore_emulator.model import Refusal, document
from agentcore_emulator.store import Address, Store

PAGE = 20
"""Entries of a page where the caller names no number; AWS does not say its own."""
MISMATCH = "IdempotentParameterMismatchException"

Arguments = Mapping[str, Any]


class Memories:
    """The memories that there are: those that are named, or any where none is."""

    def __init__(self, store: Store, known: Iterable[str] = ()) -> None:
        self._store = store
        self._known = frozenset(known)
        self.operations: dict[str, Callable[[Arguments], dict[str, Any]]] = {
            "CreateEvent": self._create_event,
            "GetEvent": self._get_event,
            "ListEvents": self._list_events,
            "DeleteEvent": self._delete_event,
            "ListSessions": self._list_sessions,
            "ListActors": self._list_actors,
            "BatchCreateMemoryRecords": self._batch_create,
            "RetrieveMemoryRecords": self._retrieve,
            "ListMemoryRecords": self._list_records,
            "GetMemoryRecord": self._get_record,
            "DeleteMemoryRecord": self._delete_record,
        }

    def answer(self, operation: str, given: Arguments) -> dict[str, Any]:
        """Raises Refusal."""
        if self._known and _memory(given) not in self._known:
            raise Refusal("ResourceNotFoundException", f"there is no memory {given['memoryId']}")
        return self.operations[operation](given)

    def _create_event(self, given: Arguments) -> dict[str, Any]:
        request, token = (
            document({key: each for key, each in given.items() if key != "clientToken"}),
            given.get("clientToken"),
        )
        earlier = self._store.by_token(_memory(given), token) if token else None
        if earlier is not None:
            return {"event": _same(earlier[0], request, earlier[1])}
        milliseconds = round(given["eventTimestamp"].timestamp() * 1000)
        event = {
            "memoryId": given["memoryId"],
            "actorId": given["actorId"],
            "sessionId": given.get("sessionId") or secrets.token_hex(16),
            "eventId": f"{milliseconds:019d}#{secrets.token_hex(4)}",
            "eventTimestamp": milliseconds / 1000,
            "payload": request["payload"],
            "branch": request.get("branch") or {"name": "main"},
            "metadata": request.get("metadata", {}),
        }
        self._store.add_event(_address(event), milliseconds, token, request, event)
        return {"event": event}

    def _get_event(self, given: Arguments) -> dict[str, Any]:
        event = self._store.event(_address(given), given["eventId"])
        if event is None:
            raise Refusal("ResourceNotFoundException", f"there is no event {given['eventId']}")
        return {"event": event}

    def _list_events(self, given: Arguments) -> dict[str, Any]:
        wanted = given.get("filter", {}).get("eventMetadata", [])
        size, before = given.get("maxResults", PAGE), _read_token(given)
        found = (
            (position, event)
            for position, event in self._store.events(_address(given), (before[0], before[1]) if before else None)
            if all(_matches(event["metadata"], each) for each in wanted)
        )
        page = list(islice(found, size + 1))
        shown = [event for _, event in page[:size]]
        if not given.get("includePayloads", True):
            shown = [{**event, "payload": []} for event in shown]
        return {"events": shown, "nextToken": _token(page[size - 1][0]) if len(page) > size else None}

    def _delete_event(self, given: Arguments) -> dict[str, Any]:
        if not self._store.delete_event(_address(given), given["eventId"]):
            raise Refusal("ResourceNotFoundException", f"there is no event {given['eventId']}")
        return {"eventId": given["eventId"]}

    def _list_sessions(self, given: Arguments) -> dict[str, Any]:
        actor = given["actorId"]
        sessions = [
            {"sessionId": session, "actorId": actor, "createdAt": created / 1000}
            for session, created in self._store.sessions(_memory(given), actor)
        ]
        return _paged("sessionSummaries", sessions, given)

    def _list_actors(self, given: Arguments) -> dict[str, Any]:
        return _paged("actorSummaries", [{"actorId": each} for each in self._store.actors(_memory(given))], given)

    def _batch_create(self, given: Arguments) -> dict[str, Any]:
        request, token = (
            document({key: each for key, each in given.items() if key != "clientToken"}),
            given.get("clientToken"),
        )
        earlier = self._store.records_by_token(_memory(given), token) if token else None
        if earlier is not None:
            records = _same(earlier[0], request, earlier[1])
        else:
            records = [
                {
                    "memoryRecordId": f"mem-{secrets.token_hex(20)}",
                    "content": each["content"],
                    "namespaces": each["namespaces"] or ["/"],
                    "createdAt": round(time.time(), 3),
                    "timestamp": each["timestamp"],
                    "memoryStrategyId": each.get("memoryStrategyId", ""),
                    "metadata": each.get("metadata", {}),
                    "requestIdentifier": each["requestIdentifier"],
                }
                for each in request["records"]
            ]
            self._store.add_records(_memory(given), token, request, records)
        done = [
            {key: each[key] for key in ("memoryRecordId", "requestIdentifier")} | {"status": "SUCCEEDED"}
            for each in records
        ]
        return {"successfulRecords": done, "failedRecords": []}

    def _retrieve(self, given: Arguments) -> dict[str, Any]:
        query = _words(given["searchCriteria"]["searchQuery"])
        scored = [
            _summary(each) | {"score": round(len(query & _words(each["content"]["text"])) / max(1, len(query)), 4)}
            for each in self._within(given)
        ]
        best = sorted((each for each in scored if each["score"] > 0), key=lambda each: -each["score"])
        return _paged("memoryRecordSummaries", best[: given["searchCriteria"].get("topK", 10)], given)

    def _list_records(self, given: Arguments) -> dict[str, Any]:
        return _paged("memoryRecordSummaries", [_summary(each) for each in self._within(given)], given)

    def _get_record(self, given: Arguments) -> dict[str, Any]:
        for each in self._store.records(_memory(given)):
            if each["memoryRecordId"] == given["memoryRecordId"]:
                return {"memoryRecord": _summary(each)}
        raise Refusal("ResourceNotFoundException", f"there is no memory record {given['memoryRecordId']}")

    def _delete_record(self, given: Arguments) -> dict[str, Any]:
        if not self._store.delete_record(_memory(given), given["memoryRecordId"]):
            raise Refusal("ResourceNotFoundException", f"there is no memory record {given['memoryRecordId']}")
        return {"memoryRecordId": given["memoryRecordId"]}

    def _within(self, given: Arguments) -> list[dict[str, Any]]:
        """Records of the namespace itself, or of all that begin with the path."""
        namespace, path = given.get("namespace"), given.get("namespacePath")
        return [
            each
            for each in self._store.records(_memory(given))
            if namespace in (None, each["namespaces"][0]) and each["namespaces"][0].startswith(path or "")
        ]


def _memory(given: Arguments) -> str:
    """The id of the memory, which an ARN ends with."""
    return str(given["memoryId"]).rpartition("/")[2]


def _address(given: Arguments) -> Address:
    return Address(_memory(given), given["actorId"], given["sessionId"])


def _same(earlier: Any, request: Any, answer: Any) -> Any:
    """The earlier answer, if the request under the same clientToken is the same."""
    if earlier != request:
        raise Refusal("ValidationException", "the clientToken was used for another request", reason=MISMATCH)
    return answer


def _matches(metadata: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    found = metadata.get(condition["left"]["metadataKey"])
    match condition["operator"]:
        case "EXISTS":
            return found is not None
        case "NOT_EXISTS":
            return found is None
    return found is not None and found == condition.get("right", {}).get("metadataValue")


def _summary(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "requestIdentifier"}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _paged(key: str, entries: list[dict[str, Any]], given: Arguments) -> dict[str, Any]:
    size, start = given.get("maxResults", PAGE), (_read_token(given) or [0])[0]
    more = start + size < len(entries)
    return {key: entries[start : start + size], "nextToken": _token([start + size]) if more else None}


def _token(position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(given: Arguments) -> list[int] | None:
    token = given.get("nextToken")
    if not token:
        return None
    try:
        position: list[int] = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise Refusal(
            "ValidationException", "nextToken is none that this service gave", reason="CannotParse"
        ) from error
    return position
