"""Objects for -o: `output` is json or yaml. Pure."""

import json
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import yaml

HIDDEN = re.compile("[\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""What JSON may hold unescaped and a terminal would obey or not show."""


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
    return _shown(json.dumps(document, ensure_ascii=False, indent=2))


def _yaml(document: Any) -> str:
    return _shown(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def _shown(text: str) -> str:
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Dumper(yaml.CSafeDumper):
    """Quotes text with hidden characters, so that they can be escaped, and writes long text line by line."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if HIDDEN.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
