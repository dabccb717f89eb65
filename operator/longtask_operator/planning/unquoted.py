"""Words of YAML that a schema cannot mean: n, y, no, yes, on and off are booleans where they are not quoted. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

WRITTEN = {"false": ("n", "n, no, off or false"), "true": ("y", "y, yes, on or true")}
"""What a boolean's name may have been."""


def unquoted(schema: Mapping[str, Any]) -> Iterator[str]:
    """What stands in a parametersSchema where YAML made a boolean of a parameter's name, one sentence each."""
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
