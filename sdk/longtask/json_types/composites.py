"""Types that are made of other types."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from longtask.json_types.base import BadValue, JsonType, Schema, at, shown, shown_json
from longtask.json_types.scalars import NULL, SCALARS

ABSENT: Final = object()
"""Marks a missing value, where None is a valid one."""
_ALL_TYPES: Final = ("string", "number", "boolean", "object", "array", "null")


@dataclass(frozen=True)
class Anything(JsonType):
    """Any or object: JSON as it is. With `spelled` the schema lists each type, for MCP clients that require one."""

    spelled: bool = False

    def schema(self) -> Schema:
        """An empty schema, or with `spelled` an `anyOf` of all types."""
        return {"anyOf": [{"type": each} for each in _ALL_TYPES]} if self.spelled else {}

    def decode(self, value: Any, path: str) -> Any:
        """The value as it is."""
        return value

    def encode(self, value: Any, path: str) -> Any:
        """Encode None, plain scalars, and dicts, lists and tuples of them."""
        if value is None:
            return None
        if type(value) in (str, int, float, bool):
            return SCALARS[type(value)].encode(value, path)
        if isinstance(value, dict):
            return Dict(self).encode(value, path)
        return Array(self, list, (list, tuple)).encode(value, path)


@dataclass(frozen=True)
class Array(JsonType):
    """list, set or tuple[X, ...]. `make` builds the Python value; `python` has the types that a default may have."""

    item: JsonType
    make: Callable[[list[Any]], Collection[Any]]
    python: tuple[type, ...]

    @property
    def _is_set(self) -> bool:
        return self.make in (set, frozenset)

    def schema(self) -> Schema:
        """An array, with uniqueItems for a set."""
        items = _inner(self.item)
        return {
            "type": "array",
            **({"items": items} if items else {}),
            **({"uniqueItems": True} if self._is_set else {}),
        }

    def decode(self, value: Any, path: str) -> Any:
        """Decode each item; an item that occurs twice does not fit a set."""
        if not isinstance(value, list):
            raise BadValue(path, f"{shown_json(value)} is not a list")
        made = self.make([self.item.decode(each, at(path, index)) for index, each in enumerate(value)])
        if len(made) != len(value):
            raise BadValue(path, f"{shown_json(value)} holds something twice")
        return made

    def encode(self, value: Any, path: str) -> Any:
        """Encode each item; a set is sorted."""
        if not isinstance(value, self.python) or isinstance(value, (str, bytes)):
            raise BadValue(path, f"{shown(value)} is not a {self.make.__name__}")
        given: Any = value
        items = [self.item.encode(each, at(path, index)) for index, each in enumerate(given)]
        return sorted(items, key=json.dumps) if self._is_set else items


@dataclass(frozen=True)
class Tuple(JsonType):
    """tuple[X, Y]: a list of fixed length, in which each item has its own type."""

    items: tuple[JsonType, ...]

    def schema(self) -> Schema:
        """An array with prefixItems, and no other length."""
        count = len(self.items)
        items = [item.schema() for item in self.items]
        return {"type": "array", "prefixItems": items, "minItems": count, "maxItems": count}

    def decode(self, value: Any, path: str) -> Any:
        """Decode a list of this length."""
        if not isinstance(value, list) or len(value) != len(self.items):
            raise BadValue(path, f"{shown_json(value)} is not a list of {len(self.items)} items")
        return tuple(
            item.decode(each, at(path, n)) for n, (item, each) in enumerate(zip(self.items, value, strict=True))
        )

    def encode(self, value: Any, path: str) -> Any:
        """Encode a tuple of this length."""
        if not isinstance(value, tuple) or len(value) != len(self.items):
            raise BadValue(path, f"{shown(value)} is not a tuple of {len(self.items)} items")
        pairs = zip(self.items, value, strict=True)
        return [item.encode(each, at(path, index)) for index, (item, each) in enumerate(pairs)]


@dataclass(frozen=True)
class Dict(JsonType):
    """dict[str, X]: an object with any keys."""

    value: JsonType

    def schema(self) -> Schema:
        """An object, with the values' schema as additionalProperties."""
        values = _inner(self.value)
        return {"type": "object", **({"additionalProperties": values} if values else {})}

    def decode(self, value: Any, path: str) -> Any:
        """Decode each value."""
        if not isinstance(value, dict):
            raise BadValue(path, f"{shown_json(value)} is not an object")
        return {key: self.value.decode(each, at(path, key)) for key, each in value.items()}

    def encode(self, value: Any, path: str) -> Any:
        """Encode each value; keys must be text."""
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise BadValue(path, f"{shown(value)} is not a dict with keys of text")
        text = SCALARS[str]
        return {text.encode(key, path): self.value.encode(each, at(path, key)) for key, each in value.items()}


@dataclass(frozen=True)
class Field:
    """A parameter of a function, or a field of a record. `default` is JSON, or ABSENT.

    A default of None is left out of the schema, as is null beside the type: null means that no value is given.
    """

    name: str
    json_type: JsonType
    required: bool
    default: Any = ABSENT
    description: str = ""

    def schema(self) -> Schema:
        """The schema of the type, with the field's description and default."""
        described = {"description": self.description} if self.description else {}
        if self.default is None:
            return without_null(self.json_type.schema()) | described
        return self.json_type.schema() | described | ({} if self.default is ABSENT else {"default": self.default})


@dataclass(frozen=True)
class Record(JsonType):
    """An object with known fields: a dataclass, NamedTuple or TypedDict, or the parameters of a function.

    `make` takes the fields as keyword arguments; its ValueError becomes a BadValue. `get` returns a field of a Python
    value, or ABSENT.
    """

    fields: tuple[Field, ...]
    make: Callable[..., Any] = dict
    python: type = dict
    get: Callable[[Any, str], Any] = lambda value, name: value.get(name, ABSENT)
    description: str = ""

    def schema(self) -> Schema:
        """An object that allows no other fields."""
        required = [field.name for field in self.fields if field.required]
        return {
            "type": "object",
            **({"description": self.description} if self.description else {}),
            "properties": {field.name: field.schema() for field in self.fields},
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def decode(self, value: Any, path: str) -> Any:
        """Decode the fields, with defaults for missing ones, and make the Python value."""
        if not isinstance(value, Mapping):
            raise BadValue(path, f"{shown_json(value)} is not an object")
        known = [field.name for field in self.fields]
        for name in value:
            if name not in known:
                allowed = f"allowed are {', '.join(known)}" if known else "none is allowed here"
                raise BadValue(at(path, name), f"no such parameter; {allowed}")
        found = {}
        for field in self.fields:
            given = value.get(field.name, field.default)
            if given is not ABSENT:
                found[field.name] = field.json_type.decode(given, at(path, field.name))
            elif field.required:
                raise BadValue(at(path, field.name), "is required")
        return _made(self.make, found, path)

    def encode(self, value: Any, path: str) -> Any:
        """Encode the fields; None is left out where it is the default."""
        if not isinstance(value, self.python):
            raise BadValue(path, f"{shown(value)} is not a {self.python.__name__}")
        encoded = {}
        for field in self.fields:
            each = self.get(value, field.name)
            if each is not ABSENT and not (each is None and field.default is None):
                encoded[field.name] = field.json_type.encode(each, at(path, field.name))
        return encoded


@dataclass(frozen=True)
class Nullable(JsonType):
    """X | None."""

    inner: JsonType

    def schema(self) -> Schema:
        """The inner schema, or null."""
        return nullable(self.inner.schema())

    def decode(self, value: Any, path: str) -> Any:
        """None for null, else the decoded value."""
        return None if value is None else self.inner.decode(value, path)

    def encode(self, value: Any, path: str) -> Any:
        """null for None, else the encoded value."""
        return None if value is None else self.inner.encode(value, path)


@dataclass(frozen=True)
class Union(JsonType):
    """X | Y: the first type that the value fits."""

    options: tuple[JsonType, ...]

    def schema(self) -> Schema:
        """An `anyOf` of all options."""
        return {"anyOf": [option.schema() for option in self.options]}

    def decode(self, value: Any, path: str) -> Any:
        """Decode with the first option that fits; BadValue lists why none does."""
        return self._first(lambda option: option.decode(value, path), path)

    def encode(self, value: Any, path: str) -> Any:
        """Encode with the first option that fits; BadValue lists why none does."""
        return self._first(lambda option: option.encode(value, path), path)

    def _first(self, attempt: Callable[[JsonType], Any], path: str) -> Any:
        problems = []
        for option in self.options:
            try:
                return attempt(option)
            except BadValue as error:
                inside = error.path.removeprefix(path).lstrip(".")
                problems.append(f"{inside}: {error.problem}" if inside else error.problem)
        raise BadValue(path, f"fits none of the {len(problems)} possible types: {'; '.join(problems)}")


def nullable(schema: Schema) -> Schema:
    """The schema that also allows null: `anyOf` with one type per option, which all MCP clients can read."""
    if not schema or NULL in schema.get("anyOf", ()):
        return schema
    options = schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]
    return {"anyOf": [*options, NULL]}


def without_null(schema: Schema) -> Schema:
    """The schema without null; unchanged if it allows nothing else."""
    options = schema.get("anyOf", [])
    others = [option for option in options if option != NULL]
    if not others or len(others) == len(options):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return ({**others[0]} if len(others) == 1 else {"anyOf": others}) | rest


def _inner(json_type: JsonType) -> Schema:
    """The schema of a container's content; empty for Anything."""
    return {} if isinstance(json_type, Anything) else json_type.schema()


def _made(make: Callable[..., Any], fields: dict[str, Any], path: str) -> Any:
    try:
        return make(**fields)
    except BadValue:
        raise
    except ValueError as error:
        raise BadValue(path, str(error)) from error
