"""Decodes JSON parameters into the Python values that a function is annotated with."""

from collections.abc import Mapping
from typing import Any

from longtask.json_types.base import BadValue
from longtask.signature import Signature

__all__ = ["BadValue", "decode"]


def decode(signature: Signature, mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of a call, with defaults. Raises BadValue for the first value that does not fit."""
    arguments: dict[str, Any] = signature.parameters.decode(mapping, "")
    return arguments
