"""One pass over an untrusted JSON Schema: its problems, and what a validation against it costs. Pure.

The validator holds the GIL, so the cost is bounded before validation starts: it is the number of subschemas that apply
to one node of a value, with references expanded, times the number of nodes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final
from urllib.parse import unquote

from jsonschema_rs import canonical, canonicalize

DATA_KEYWORDS: Final = frozenset({"default", "const", "enum", "examples"})
"""Keywords that contain values, not schemas."""
NAMED_SCHEMAS: Final = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
"""Keywords that contain schemas under names chosen by the author."""
MAX_LEVELS: Final = 45
"""Levels of nested schemas, with references expanded as agents see them. As JSON that is up to 90 levels."""
MAX_STEPS: Final = 4_000_000
"""Nodes of a value times the subschemas that apply to one; validation at this limit takes up to 0.1 s."""
MAX_MATCHED: Final = 4 * 1024 * 1024
"""Characters of a value that is matched against regular expressions."""

_BESIDE: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
"""Keywords with schemas that apply to the same node as the schema containing them."""
_BELOW: Final = frozenset(
    {"items", "prefixItems", "contains", "unevaluatedItems", "patternProperties", "additionalProperties"}
    | {"unevaluatedProperties", "propertyNames"}
)
"""Keywords with schemas that may all apply to the same child node; of those in `properties` only one does."""
_SELECTING: Final = frozenset(
    {"type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
)
_LOOKS_AROUND = re.compile(r"\(\?[=!<>]|\\[1-9k]")
"""Parts of a regular expression that need backtracking: lookaround, atomic groups, backreferences."""


@dataclass(frozen=True)
class Size:
    """The size of a parsed value: its nodes, how many of them are objects, and the characters of strings and keys."""

    places: int
    objects: int
    characters: int


@dataclass(frozen=True)
class Survey:
    """What one pass over a schema found."""

    problems: tuple[str, ...]
    """Why the schema cannot be used, one sentence each."""
    patterns: Mapping[str, str]
    """Its regular expressions, each with its location in the schema."""
    breadth: int
    """The largest number of subschemas that apply to one node of a value."""
    names: int
    """The largest number of names that one subschema looks up in an object."""
    branches: bool
    """Whether the schema has anyOf or oneOf."""

    def steps(self, size: Size) -> int:
        """Cost of validating a value of that size, in steps."""
        return self.breadth * size.places + self.names * size.objects

    def may_check(self, size: Size) -> bool:
        """Whether the cost of validating a value of that size is within the limits."""
        slow = any(_LOOKS_AROUND.search(pattern) for pattern in self.patterns)
        matched = size.characters + (1000 * size.places if slow else 0)
        return self.steps(size) <= MAX_STEPS and not (self.patterns and matched > MAX_MATCHED)


def survey(schema: Mapping[str, Any]) -> Survey:
    """Survey a schema of at most MAX_DEPTH levels, in time linear in its size."""
    walk = _Walk(schema)
    breadth: tuple[int, ...] = (1,)
    try:
        breadth = walk.visit(schema, (), 1).breadth
    except _TooDeep:
        walk.problems.append(f"nests schemas deeper than {MAX_LEVELS} levels when references are written out")
    return Survey(tuple(dict.fromkeys(walk.problems)), walk.patterns, max(breadth), walk.names, walk.branches)


def size_of(value: Any) -> Size:
    """Measure a parsed value."""
    places = objects = characters = 0
    pending = [value]
    while pending:
        node = pending.pop()
        places += 1
        if isinstance(node, str):
            characters += len(node)
        elif isinstance(node, dict):
            objects += 1
            characters += sum(map(len, node))
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    return Size(places, objects, characters)


def target_of(schema: Mapping[str, Any], reference: str) -> Any:
    """The target of a reference inside the schema (a JSON pointer after `#`); None if it does not exist."""
    node: Any = schema
    for part in unquote(reference.removeprefix("#")).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            node = node.get(key) if isinstance(node, Mapping) else None
    return node


def place(path: Iterable[str | int]) -> str:
    """A location in a schema for messages: keys joined by dots, or "the schema" for the root."""
    return ".".join(str(part) for part in path) or "the schema"


@dataclass(frozen=True)
class _Weight:
    levels: int
    """Nested schemas, including this one."""
    breadth: tuple[int, ...]
    """Subschemas that apply to one node, by level of the value."""


_LEAF = _Weight(0, (1,))


class _TooDeep(Exception):
    """Schemas are nested deeper than MAX_LEVELS."""


class _Walk:
    """The pass over a schema; visits every subschema once."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[int, _Weight] = {}
        self._open: set[int] = set()
        self.problems: list[str] = []
        self.patterns: dict[str, str] = {}
        self.names = 0
        self.branches = False

    def visit(self, node: Any, path: tuple[str, ...], level: int) -> _Weight:
        """The weight of a subschema at that level. Raises _TooDeep."""
        if not isinstance(node, Mapping):
            return _LEAF
        known = self._known.get(id(node))
        if level + (known.levels - 1 if known is not None else 0) > MAX_LEVELS:
            raise _TooDeep
        if known is None:
            self._open.add(id(node))
            known = self._known[id(node)] = self._weigh(node, path, level)
            self._open.discard(id(node))
        return known

    def _weigh(self, node: Mapping[str, Any], path: tuple[str, ...], level: int) -> _Weight:
        self._look_at(node, path)
        beside: list[_Weight] = []
        others: list[_Weight] = []
        below: list[tuple[int, ...]] = []
        for keyword, child in node.items():
            where = (*path, keyword)
            if keyword in ("$ref", "$dynamicRef"):
                beside += [self.visit(target, where, level + 1) for target in self._followed(keyword, child)]
                continue
            weights = [self.visit(part, (*where, *name), level + 1) for name, part in _parts(keyword, child)]
            (beside if keyword in _BESIDE else others).extend(weights)
            if keyword == "properties":
                below.append(_by_level(max, [each.breadth for each in weights]))
            elif keyword in _BELOW:
                below.append(_by_level(sum, [each.breadth for each in weights]))
        own = 1 + (len(node["enum"]) // 10 if isinstance(node.get("enum"), list) else 0)
        return _Weight(
            1 + max((each.levels for each in [*beside, *others]), default=0),
            _by_level(sum, [(own, *_by_level(sum, below)), *(each.breadth for each in beside)]),
        )

    def _look_at(self, node: Mapping[str, Any], path: tuple[str, ...]) -> None:
        """Collect problems, patterns and names of one subschema, without those inside it."""
        if path and "$id" in node:
            self.problems.append(f"{place(path)}: $id may stand only at the top of the schema")
        if isinstance(node.get("pattern"), str):
            self.patterns.setdefault(node["pattern"], place((*path, "pattern")))
        for name, _ in _parts("patternProperties", node.get("patternProperties")):
            self.patterns.setdefault(name[0], place((*path, "patternProperties")))
        for name, part in _parts("properties", node.get("properties")):
            if _is_impossible(part):
                self.problems.append(f"{place((*path, 'properties', *name))}: no value fits it")
        self.branches |= "anyOf" in node or "oneOf" in node
        sought = [node.get(keyword) for keyword in ("properties", "required", "dependentRequired")]
        self.names = max(self.names, sum(len(each) for each in sought if isinstance(each, Mapping | list)))

    def _followed(self, keyword: str, reference: Any) -> Iterator[Mapping[str, Any]]:
        if not isinstance(reference, str):
            return
        target = target_of(self._root, reference)
        if reference != "#" and not reference.startswith("#/"):
            self.problems.append(
                f"{keyword} {reference!r}: only references inside the schema (#/$defs/...) are followed"
            )
        elif not isinstance(target, Mapping):
            self.problems.append(f"{keyword} {reference!r} leads to nothing in the schema")
        elif id(target) in self._open:
            self.problems.append(
                f"{keyword} {reference!r} leads back to itself: tool schemas are flat, so it cannot be written out"
            )
        else:
            yield target


def _parts(keyword: str, child: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The schemas that a keyword contains, each with its path below the keyword."""
    if keyword in DATA_KEYWORDS:
        return
    if keyword in NAMED_SCHEMAS:
        yield from (((name,), part) for name, part in child.items()) if isinstance(child, Mapping) else ()
    elif isinstance(child, Mapping):
        yield (), child
    elif isinstance(child, list):
        yield from (((str(index),), part) for index, part in enumerate(child) if isinstance(part, Mapping))


def _is_impossible(schema: Any) -> bool:
    """Whether the schema's own keywords exclude every value: an empty enum, a minimum above the maximum."""
    if not isinstance(schema, Mapping):
        return False
    selecting = {keyword: schema[keyword] for keyword in _SELECTING & schema.keys()}
    if "enum" not in selecting and len(selecting) < 2:
        return False
    try:
        return canonicalize(selecting).satisfiability() == canonical.Satisfiability.NO
    except ValueError:
        return False  # not a valid schema, which other checks report better


def _by_level(combine: Callable[[Iterable[int]], int], each: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(combine(level) for level in zip_longest(*each, fillvalue=0))
