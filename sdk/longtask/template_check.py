"""Whether a template in a file still fits the function. YAML is read by its lines: the SDK has no YAML parser."""

import difflib
import re
from collections.abc import Iterator

_HASH = re.compile(r"""^\s+["']?longtask\.dev/schema-hash["']?:\s*["']?([0-9a-f]+)["']?\s*(?:#.*)?$""", re.MULTILINE)
_METADATA = re.compile(r"^metadata:[^\n]*\n((?:(?:[ \t].*)?\n)*)", re.MULTILINE)
_NAME = re.compile(r"""^(\s+)name:\s*["']?([^\s"'#]+)""", re.MULTILINE)
_COMMAND = re.compile(r"^# Made by `(.*)`$", re.MULTILINE)
_SCHEMAS = re.compile(r"^  (?:parametersSchema|resultSchema):.*\n(?:(?:   .*)?\n)*", re.MULTILINE)


def difference(file: str, fresh: str, name: str) -> str:
    """How the template `name` in a file differs in its schema from a fresh one, and what mends it; empty: not at all.

    Both are YAML, of one or more documents.
    """
    for old in re.split(r"^---.*$", file.replace("\r\n", "\n") + "\n", flags=re.MULTILINE):
        if re.search(r"""^kind:\s*["']?LongTaskTemplate\b""", old, re.MULTILINE) and _name(old) == name:
            break
    else:
        return f"there is no LongTaskTemplate {name}; write it with: {_command(fresh)}"
    before, now = _hash(old), _hash(fresh)
    if before == now:
        return ""
    found = f"has the schema hash {before}" if before else "has no annotation longtask.dev/schema-hash"
    return "\n".join(
        [
            f"LongTaskTemplate {name} {found}, but the function has {now} now; put in its place what this writes: "
            f"{_command(old) or _command(fresh)}",
            *_changes(old, fresh),
        ]
    )


def _hash(document: str) -> str:
    found = _HASH.search(_metadata(document))
    return found[1] if found else ""


def _name(document: str) -> str:
    """The name that stands least deep in the metadata."""
    names = _NAME.findall(_metadata(document))
    return str(min(names, key=lambda found: len(found[0]))[1]) if names else ""


def _metadata(document: str) -> str:
    found = _METADATA.search(document)
    return found[1] if found else ""


def _command(document: str) -> str:
    found = _COMMAND.search(document)
    return found[1] if found else ""


def _changes(old: str, fresh: str) -> Iterator[str]:
    before, now = ("".join(_SCHEMAS.findall(each)).splitlines() for each in (old, fresh))
    return difflib.unified_diff(before, now, "file", "function", lineterm="")
