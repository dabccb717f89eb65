"""What a docstring says of the whole and of each parameter."""

import re
from collections.abc import Mapping

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Attributes):\s*$")
_GOOGLE_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_SPHINX_FIELD = re.compile(r"^:\w+")
_SPHINX_ENTRY = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+):\s*(.*)$")


def read_docstring(text: str) -> tuple[str, Mapping[str, str]]:
    """The text before the parameters, and what is said of each: Google style (`Args:`) and Sphinx (`:param name:`).

    `text` is without common indentation, as inspect.cleandoc gives it.
    """
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if _SECTION.match(line):
            return _before(lines, number), _google(lines[number + 1 :])
        if _SPHINX_FIELD.match(line):
            return _before(lines, number), _sphinx(lines[number:])
    return text.strip(), {}


def _before(lines: list[str], number: int) -> str:
    return "\n".join(lines[:number]).strip()


def _google(lines: list[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    name, indent = "", 0
    for line in lines:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if depth == 0:
            break
        entry = _GOOGLE_ENTRY.match(line.strip())
        if entry and (not indent or depth <= indent):
            name, indent = entry[1], depth
            entries[name] = entry[2].strip()
        elif name:
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries


def _sphinx(lines: list[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    name = ""
    for line in lines:
        if _SPHINX_FIELD.match(line):
            entry = _SPHINX_ENTRY.match(line)
            name = entry[1] if entry else ""
            if entry:
                entries[name] = entry[2].strip()
        elif name:
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries
