"""Objects for -o: `output` is json or yaml. Pure."""

import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import yaml

from longtask_cli.text import is_unsafe

LAYOUT = "\n\t"
"""What the documents themselves are laid out with; within texts both formats escape it where they must."""


def written(document: Any, output: str) -> str:
    """One document, as text that ends with a newline."""
    if output == "yaml":
        return _yaml(document)
    return _json(document) + "\n"


async def listed(documents: AsyncIterable[Any], output: str) -> AsyncIterator[str]:
    """A List of the documents, piece by piece, as `kubectl get -o` writes it: one document is in memory at a time."""
    if output == "yaml":
        yield "apiVersion: v1\nkind: List\nitems:"
        separator = "\n"
        async for document in documents:
            yield separator + _yaml([document])
            separator = ""
        yield " []\n" if separator else ""
        return
    yield '{\n  "apiVersion": "v1",\n  "kind": "List",\n  "items": ['
    separator = "\n"
    async for document in documents:
        yield separator + re.sub("^", "    ", _json(document), flags=re.MULTILINE)
        separator = ",\n"
    yield "\n  ]\n}\n"


def _json(document: Any) -> str:
    return _escaped(json.dumps(document, ensure_ascii=False, indent=2), _in_json)


def _yaml(document: Any) -> str:
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return _escaped(text, _in_yaml)


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(escape(each) if is_unsafe(each, LAYOUT) else each for each in text)


def _in_yaml(character: str) -> str:
    """The escape of a character (YAML 1.2, section 5.7)."""
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _in_json(character: str) -> str:
    """The escape of a character, or of its two surrogates (RFC 8259, section 7)."""
    return json.dumps(character)[1:-1] if not character.isascii() else f"\\u{ord(character):04x}"


class _Dumper(yaml.CSafeDumper):
    """Quotes text with hidden characters, so that they can be escaped, and writes long text line by line."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if any(is_unsafe(each, LAYOUT) for each in text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
