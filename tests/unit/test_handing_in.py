"""How a result is checked when it is handed in."""

import json
from typing import Any

import pytest

from longtask_operator.task_api.results import _checked


@pytest.mark.parametrize(
    ("schema", "mismatch"),
    [
        ({"type": "string", "pattern": "(a"}, None),
        ({"$ref": "https://example.com/result"}, None),
        ({"type": "string"}, '7 is not of type "string"'),
    ],
    ids=["pattern", "reference", "usable"],
)
def test_a_result_fits_where_its_schema_cannot_be_used(schema: dict[str, Any], mismatch: str | None) -> None:
    assert _checked(json.dumps(schema), b"7", "application/json") == ("application/json", mismatch)
