"""Writes docs/task-api.json, the OpenAPI document of the task API: `python -m longtask_operator.task_api.document`;
with --check it only compares."""

import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from longtask_operator.task_api.app import Parts, task_api

FILE = Path(__file__).resolve().parents[3] / "docs" / "task-api.json"


def document() -> dict[str, Any]:
    """The document; what the API works with stays out of it, so nothing of that is needed here."""
    nothing: dict[str, Any] = {field.name: None for field in fields(Parts)}
    return task_api(Parts(**nothing)).openapi()


def main(arguments: list[str]) -> int:
    """Exit code 0, or 1 when --check found a file that differs from the code."""
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
