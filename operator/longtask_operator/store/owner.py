"""The owner of stored data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Owner:
    """The LongTask for which data is stored."""

    name: str
    uid: str
