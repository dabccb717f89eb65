"""Detects names that YAML turned into booleans: unquoted n, y, no, yes, on and off. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

WRITTEN = {"false": ("n", "n, no, off or false"), "true": ("y", "y, yes, on or true")}
"""Per boolean: the name to suggest, and the spellings that YAML reads as this boolean."""


def unquoted(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each parameter name in a parametersSchema that YAML turned into a boolean."""
    properties, required = schema.get("properties"), schema.get("required")
    for name in properties if isinstance(properties, Mapping) else ():
        if name in WRITTEN:
            yield _sentence(f'parametersSchema.properties has a parameter called "{name}"', name)
    for name in required if isinstance(required, list) else ():
        if isinstance(name, bool):
            said = str(name).lower()
            yield _sentence(f"parametersSchema.required has {said} where a name belongs", said)


def _sentence(what: str, name: str) -> str:
    short, written = WRITTEN[name]
    return f'{what}: YAML reads {written} as a boolean. Put the name in quotes: "{short}"'
