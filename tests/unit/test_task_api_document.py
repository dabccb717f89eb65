"""What a generator of clients makes of the task API's document, and what a wrong path is told."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import fastapi.routing
import pytest
from fastapi import FastAPI

from longtask_operator.task_api.app import Parts, task_api
from longtask_operator.task_api.document import document

DOCUMENT = document()
OPERATIONS = {
    operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()
}
NULL = {"type": "null"}


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(part, dict):
        yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _parts(each)


def test_the_document_is_the_same_each_time_that_it_is_made() -> None:
    assert document() == DOCUMENT


def test_operations_have_short_names_of_their_own() -> None:
    assert len(OPERATIONS) == sum(len(methods) for methods in DOCUMENT["paths"].values())
    assert {name for name, each in OPERATIONS.items() if each["tags"] == ["pods"]} == {
        "read_attempt",
        "report_progress",
        "report_heartbeat",
        "save_checkpoint",
        "read_checkpoint",
        "hand_in_result",
        "keep_artifact",
        "ask_question",
        "read_question",
    }


def test_numbers_have_64_bits_and_maps_are_told_as_maps() -> None:
    for part in _parts(DOCUMENT):
        assert part.get("type") != "number" or part["format"] == "double"
        assert part.get("type") != "integer" or part["format"] == "int64"
        assert "patternProperties" not in part
    progress = OPERATIONS["report_progress"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert progress["metrics"]["additionalProperties"] == {"type": "number", "format": "double"}


def test_what_may_be_left_out_is_not_null_as_well() -> None:
    for part in _parts(DOCUMENT):
        for name, each in part["properties"].items() if "properties" in part else ():
            assert name in part.get("required", ()) or NULL not in each.get("anyOf", ()), name
        if "in" in part:
            assert NULL not in part.get("schema", {}).get("anyOf", ()), part


def test_bytes_are_bytes_on_their_way_in_and_out() -> None:
    binary = {"schema": {"type": "string", "format": "binary"}}
    for name in ("save_checkpoint", "keep_artifact"):
        assert OPERATIONS[name]["requestBody"]["content"] == {"application/octet-stream": binary}
    for name in ("read_checkpoint", "read_result", "read_artifact", "read_archived_result", "read_archived_artifact"):
        assert OPERATIONS[name]["responses"]["200"]["content"]["application/octet-stream"] == binary
    assert OPERATIONS["hand_in_result"]["requestBody"]["content"].keys() == {"application/json", "text/plain"}


def test_headers_that_a_client_needs_are_told() -> None:
    for operation in OPERATIONS.values():
        for status in ("429", "503"):
            assert operation["responses"][status]["headers"].keys() == {"Retry-After"}
    checkpoint = OPERATIONS["read_checkpoint"]["responses"]["200"]["headers"]
    assert checkpoint.keys() == {"LongTask-Attempt", "LongTask-Sequence", "Content-Digest"}


def _app() -> FastAPI:
    return task_api(Parts(**{field.name: None for field in fields(Parts)}))  # type: ignore[arg-type]


async def _call(method: str, path: str, app: FastAPI | None = None) -> tuple[int, dict[str, str]]:
    app, sent = app or _app(), []
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [], "scheme": "http"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({**scope, "server": ("task-api", 8082)}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize("path", ["/v1/report/v1/report/progress", "/v1/report/progress/", "/openapi.json"])
async def test_a_wrong_path_is_told_what_is_wrong_with_it(path: str) -> None:
    status, told = await _call("POST", path)
    assert (status, told["reason"]) == (404, "NotFound")
    assert told["detail"].startswith(f"there is nothing at {path}; docs/task-api.json has the paths")


async def test_a_wrong_method_is_told_the_right_ones() -> None:
    status, told = await _call("DELETE", "/v1/report/progress")
    assert (status, told["detail"]) == (405, "/v1/report/progress does not take DELETE, but POST")


async def test_the_first_call_waits_for_nothing_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    app = _app()
    made: list[object] = []
    monkeypatch.setattr(fastapi.routing, "get_dependant", lambda **told: made.append(told))
    status, _ = await _call("DELETE", "/v1/report/progress", app)
    assert (status, made) == (405, [])
