"""Writes docs/task-api.json, the OpenAPI document of the task API: `python -m longtask_operator.task_api.document`;
with --check it only compares.
"""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from longtask_operator.task_api.app import Parts, task_api

FILE = Path(__file__).resolve().parents[3] / "docs" / "task-api.json"
FORMATS = {"number": "double", "integer": "int64"}


def document() -> dict[str, Any]:
    """The OpenAPI document. It does not depend on the API's components, so none are needed here."""
    nothing: dict[str, Any] = {field.name: None for field in fields(Parts)}
    made: dict[str, Any] = _for_generators(task_api(Parts(**nothing)).openapi())
    return made


def _for_generators(part: Any) -> Any:
    """The same in a form that client generators understand: number formats of 64 bits, since 32 are assumed without
    one; no null for optional properties; values of a map as additionalProperties.
    """
    if isinstance(part, list):
        return [_for_generators(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {name: _for_generators(each) for name, each in part.items()}
    if made.get("type") in FORMATS:
        made.setdefault("format", FORMATS[made["type"]])
    if "patternProperties" in made:
        ((pattern, value),) = made.pop("patternProperties").items()
        made |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    if isinstance(made.get("properties"), dict):
        required = made.get("required", ())
        made["properties"] = {
            name: each if name in required else _without_null(each) for name, each in made["properties"].items()
        }
    return made | {"schema": _without_null(made["schema"])} if "in" in made and "schema" in made else made


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: each for name, each in schema.items() if name != "anyOf" and (name, each) != ("default", None)}
    return {**rest, **kinds[0]}


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 when --check found that the file differs from the code."""
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if FILE.exists() and FILE.read_text() == text:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"docs/{FILE.name} is not what the code says: run `make generate`\n")
        return 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
