"""Splits a docstring into its general text and the descriptions of parameters."""

import re
from collections.abc import Mapping

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Keyword Args|Keyword Arguments|Attributes):\s*$")
_GOOGLE_ENTRY = re.compile(r"^[*`]*([\w.-]+)`*\s*(?:\(.*?\))?\s*:(?!//)\s*(.*)$")
_FIELD = re.compile(r"^:(?P<kind>\w+)\b(?P<of>[^:`]*):(?:\s+(?P<text>.*))?$")
_PARAMETERS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword", "var", "ivar", "cvar"})
_TYPES = frozenset({"type", "rtype", "vartype", "meta"})
_NAMES = {"return": "Returns", "returns": "Returns", "yield": "Yields", "yields": "Yields"}


def read_docstring(text: str) -> tuple[str, Mapping[str, str]]:
    """Return the text without its parameter sections, and the description of each parameter by name.

    Understands Google style (`Args:`) and Sphinx style (`:param name:`). Everything else (returns, raises, examples)
    stays in the text. `text` has no common indentation, as from inspect.cleandoc.
    """
    said: list[str] = []
    described: dict[str, str] = {}
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if _SECTION.match(line):
            entries, before = _google(_taken(lines, while_indented=True))
            described |= entries
            said += before
        elif field := _FIELD.match(line):
            words = " ".join([field["text"] or "", *(each.strip() for each in _taken(lines))]).strip()
            if field["kind"] in _PARAMETERS:
                described[field["of"].rpartition(" ")[2]] = words
            elif field["kind"] not in _TYPES:
                said.append(f"{_NAMES.get(field['kind'], field['kind'].title())}{field['of']}: {words}")
        else:
            said.append(line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(said)).strip(), described


def _taken(lines: list[str], *, while_indented: bool = False) -> list[str]:
    """Remove and return the next lines: of a section (`while_indented`), or of a field, up to a blank line or the next
    one."""
    taken = []
    while lines:
        is_blank, is_indented = not lines[0].strip(), lines[0].startswith((" ", "\t"))
        if not (is_blank or is_indented) if while_indented else (is_blank or _FIELD.match(lines[0])):
            break
        taken.append(lines.pop(0))
    return taken


def _google(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """The description of each parameter, and the lines before the first one."""
    entries: dict[str, str] = {}
    before: list[str] = []
    name, indent = "", 0
    for line in lines:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        entry = _GOOGLE_ENTRY.match(line.strip())
        if entry and (not indent or depth <= indent):
            name, indent = entry[1], depth
            entries[name] = entry[2].strip()
        elif name:
            entries[name] = f"{entries[name]} {line.strip()}".strip()
        else:
            before.append(line.strip())
    return entries, before
