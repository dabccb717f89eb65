"""Reads YAML together with the position of every value, to check and edit templates in files.

Needs PyYAML (the extra `template`). Import it only where a file is read: the rest of the SDK has no dependency.
Numbers, true, false and null are what kubectl reads as such; dates are text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import yaml

MAX_DEPTH: Final = 100
"""Levels of nesting."""
_PROPERTIES = re.compile(r"(?:!<[^>]*>|[&!][^\s,\[\]{}]*|\s+|#.*)*")
"""Tags and an anchor before a value."""
_TAG: Final = "tag:yaml.org,2002:"
_MEANINGS: Final[Mapping[str, str]] = {
    "null": "~|null|Null|NULL|",
    "bool": "|".join(
        form(word)
        for word in ("y", "yes", "true", "on", "n", "no", "false", "off")
        for form in (str, str.title, str.upper)
    ),
    "int": r"[-+]?(?:0x[0-9a-fA-F][0-9a-fA-F_]*|0b[01][01_]*|0o[0-7][0-7_]*|0[0-7_]*|[1-9][0-9_]*)",
    "float": r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?",
}
"""The plain scalars that kubectl (sigs.k8s.io/yaml) does not read as text, by their tag."""


class BadYaml(ValueError):
    """Invalid YAML; the message says why. `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


@dataclass(frozen=True)
class Node:
    """A value and its position: from `start` to `end` in the text. Its items are nodes too.

    `is_flow`: written with braces or brackets, or as an alias. `keys`: where each key of a mapping begins.
    """

    value: Any
    start: int
    end: int
    is_flow: bool = False
    keys: Mapping[str, int] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value in the types of JSON."""
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        return [each.plain() for each in self.value] if isinstance(self.value, list) else self.value


def read_documents(text: str) -> list[Node]:
    """The documents of a text, whose lines end with a line feed. Raises BadYaml."""
    return _Reader(text).documents()


class _Loader(yaml.SafeLoader):
    """Resolves the tags of kubectl's YAML; a scalar with any other tag is text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - as PyYAML declares it
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        **{f"{_TAG}{tag}": yaml.SafeLoader.yaml_constructors[f"{_TAG}{tag}"] for tag in _MEANINGS},
        None: yaml.SafeLoader.construct_scalar,
    }
    bool_values: ClassVar[dict[str, bool]] = {**yaml.SafeLoader.bool_values, "y": True, "n": False}


for _tag, _words in _MEANINGS.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(rf"(?:{_words})\Z"), None)


class _Reader:
    """Builds nodes from PyYAML's events, one document after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._anchors: dict[str, Node] = {}
        try:
            self._loader: Any = _Loader(text)
        except yaml.reader.ReaderError as error:
            problem = (
                f"the character U+{ord(text[error.position]):04X} cannot stand in YAML: escape it in double quotes"
            )
            raise self._bad(error.position, problem) from None

    def documents(self) -> list[Node]:
        found: list[Node] = []
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                found.append(self._node(self._next(), 0))
        return found

    def _next(self) -> Any:
        try:
            return self._loader.get_event()
        except yaml.MarkedYAMLError as error:
            raise self._told(error) from None
        except (OverflowError, ValueError):  # from chr()
            raise self._bad(self._loader.index, "an escape in double quotes is no character") from None

    def _node(self, event: Any, depth: int) -> Node:
        """The node that begins with this event, `depth` levels below the root."""
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._bad(start, f"no anchor &{event.anchor} stands above *{event.anchor}")
            return Node(self._anchors[event.anchor].value, start, end, is_flow=True)
        if (event.anchor or event.tag) and (found := _PROPERTIES.match(self._text, start)):
            start = min(found.end(), end) if isinstance(event, yaml.ScalarEvent) else found.end()
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, start)
        elif depth == MAX_DEPTH:
            raise self._bad(start, f"nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(event, start, depth)
        else:
            node = self._sequence(event, start, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Any, start: int) -> Node:
        tag = event.tag or self._loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        try:
            value = self._loader.construct_object(yaml.ScalarNode(tag, event.value))
        except (LookupError, ValueError):
            raise self._bad(start, f"{event.value[:40]} is no {tag.removeprefix(_TAG)}") from None
        end = event.end_mark.index
        if event.style in ("|", ">"):  # the end mark is after trailing blank lines
            end = start + len(self._text[start:end].rstrip())
        return Node(value, start, end)

    def _mapping(self, first: Any, start: int, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, int] = {}
        end = start
        while not _is_end(event := self._next()):
            key, place = self._key(self._node(event, depth + 1)), event.start_mark.index
            if key in entries:
                raise self._bad(place, f"the key {key} stands here for the second time")
            keys[key] = place
            entries[key] = self._node(self._next(), depth + 1)
            end = entries[key].end
        # The end mark of a block is after the blank lines and comments that follow it.
        return Node(entries, start, event.end_mark.index if first.flow_style else end, bool(first.flow_style), keys)

    def _sequence(self, first: Any, start: int, depth: int) -> Node:
        items: list[Node] = []
        while not _is_end(event := self._next()):
            items.append(self._node(event, depth + 1))
        end = event.end_mark.index if first.flow_style else items[-1].end
        return Node(items, start, end, bool(first.flow_style))

    def _key(self, node: Node) -> str:
        """The key as kubectl converts it to JSON: `on` becomes true."""
        if isinstance(node.value, str):
            return node.value
        if isinstance(node.value, (bool, int)):
            return str(node.value).lower()
        if isinstance(node.value, float):
            return f"{node.value:g}"
        raise self._bad(node.start, "a key is a text: quote it")

    def _told(self, error: Any) -> BadYaml:
        """PyYAML's message with the line where it stopped; at the end of the text, where the construct began."""
        at = error.problem_mark.index
        began = error.context_mark.index if error.context_mark else at
        problem = " ".join(filter(None, (error.problem, error.context)))
        if at >= len(self._text):
            at = began
        elif self._line(began) != self._line(at):
            problem += f" that begins in line {self._line(began)}"
        return self._bad(at, problem)

    def _bad(self, at: int, problem: str) -> BadYaml:
        return BadYaml(self._line(at), problem)

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1


def _is_end(event: Any) -> bool:
    return isinstance(event, yaml.CollectionEndEvent)
