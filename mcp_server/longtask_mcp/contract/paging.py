"""Large results in parts. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from longtask_api.longtask import Result
from longtask_mcp.contract.errors import BadArguments

PAGE_CHARACTERS = 20_000


@dataclass(frozen=True)
class Page:
    """Part `number` of `pages`, counted from 1."""

    text: str
    number: int
    pages: int


def result_value(result: Result) -> Any:
    """The result as the work gave it: JSON, or its text."""
    return result.text if result.text is not None else result.value


def result_text(result: Result) -> str:
    """The result as text: JSON text, or the text itself."""
    return result.text if result.text is not None else json.dumps(result.value, ensure_ascii=False)


def page(text: str, number: int) -> Page:
    """Part `number` of a text. The parts joined are the text. Raises BadArguments."""
    pages = max(1, -(-len(text) // PAGE_CHARACTERS))
    if number > pages:
        raise BadArguments(f"page: {number} is out of range; the result has {pages} page{'s' * (pages > 1)}.")
    start = (number - 1) * PAGE_CHARACTERS
    return Page(text[start : start + PAGE_CHARACTERS], number, pages)
