"""Tasks whose results have patterns that cannot be tried at a desk; the processes import it as `patterned`."""

from typing import Annotated

import pydantic

TEXT = "a" * 64 + "!"


class Word(pydantic.BaseModel):
    text: Annotated[str, pydantic.Field(pattern=r"^\p{L}+!$")]


def properties() -> Word:
    """A pattern that Python's `re` does not take."""
    return Word(text=TEXT)


def backtracks() -> Annotated[str, pydantic.Field(pattern="^(a+)+$")]:
    """A pattern that `re` tries in some 2^64 ways."""
    return TEXT
