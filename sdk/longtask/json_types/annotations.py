"""Converts annotations to JSON types."""

import collections.abc
import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from longtask.docstrings import read_docstring
from longtask.json_types.base import BadValue, JsonType, SignatureError, at
from longtask.json_types.composites import (
    ABSENT,
    Anything,
    Array,
    Dict,
    Field,
    Nullable,
    Record,
    Tuple,
    Union,
)
from longtask.json_types.constraints import Constrained, constrained
from longtask.json_types.models import Mode, Recursive, model_type
from longtask.json_types.scalars import NULL, SCALARS, Choice, Scalar, is_plain, path_type

_LISTS: Mapping[Any, tuple[type, ...]] = {
    list: (list,),
    collections.abc.Sequence: (collections.abc.Sequence,),
    collections.abc.MutableSequence: (list,),
    collections.abc.Collection: (collections.abc.Sequence,),
    collections.abc.Iterable: (collections.abc.Sequence,),
}
"""Annotations that decode to a list, with the types that a default may have."""
_SETS = {set: set, collections.abc.MutableSet: set, frozenset: frozenset, collections.abc.Set: frozenset}
_TABLES = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_WRAPPERS = tuple(getattr(typing, name) for name in ("Required", "NotRequired", "ReadOnly") if hasattr(typing, name))


def type_hints(of: Any, where: str) -> dict[str, Any]:
    """The evaluated annotations of a function or class, with Annotated kept. Raises SignatureError."""
    try:
        return typing.get_type_hints(of, include_extras=True)
    except Exception as error:  # an annotation is any expression
        raise SignatureError(
            f"{where}: its annotations cannot be read ({type(error).__name__}: {error}); "
            "define and import what they name at the top of the module, outside of `if TYPE_CHECKING`"
        ) from error


class Reader:
    """Converts annotations. `mode` is `validation` for values that come in, `serialization` for values that go out,
    which have every field."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._opened: list[Any] = []

    def json_type(self, annotation: Any, where: str) -> JsonType:
        """The JSON type of an annotation. Raises SignatureError; its message begins with `where`."""
        if (meaning := _meaning(annotation)) is not None:
            with self._inside(annotation, where):
                return self.json_type(meaning, where)
        if annotation is Any or annotation is object:
            return Anything(spelled=self._mode == "validation")
        origin = typing.get_origin(annotation) or annotation
        arguments = typing.get_args(annotation)
        if origin is typing.Annotated:
            return constrained(self.json_type(arguments[0], where), arguments[1:], where)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments, where)
        if origin is typing.Literal:
            return _choice([(_value(each), each) for each in arguments], where)
        json_type = self._container(origin, arguments, where)
        if json_type is None and isinstance(annotation, type):
            json_type = SCALARS.get(annotation) or _one_value(annotation, where) or self._record(annotation, where)
        if json_type is None:
            raise SignatureError(f"{where}: {_shown(annotation)} has no JSON form; {_ADVICE}")
        return json_type

    def field(self, name: str, annotation: Any, default: Any, described: Mapping[str, str], where: str) -> Field:
        """A parameter or field. `default` is a Python value or ABSENT. Raises SignatureError if it does not fit."""
        json_type = self.json_type(annotation, where)
        text = described.get(name, "")
        if self._mode == "validation" and default in (ABSENT, None) and _takes_null(json_type, default):
            return Field(name, json_type, required=False, default=None, description=text)
        if default is ABSENT:
            return Field(name, json_type, required=True, description=text)
        try:
            encoded = json_type.encode(default, "")
        except BadValue as error:
            raise SignatureError(
                f"{where}: the default does not fit the annotation: {error}; change one of them"
            ) from error
        return Field(name, json_type, required=False, default=encoded, description=text)

    def _container(self, origin: Any, arguments: tuple[Any, ...], where: str) -> JsonType | None:
        try:
            hash(origin)
        except TypeError:
            return None
        if origin in _LISTS:
            return Array(self._item(arguments, where), list, _LISTS[origin])
        if origin in _SETS:
            item = self._item(arguments, where)
            plain = item.inner if isinstance(item, Constrained) else item
            if not isinstance(plain, (Scalar, Choice)):
                raise SignatureError(f"{where}: a set holds plain values such as str or int; write list[...]")
            return Array(item, _SETS[origin], (set, frozenset))
        if origin is tuple:
            return self._tuple(arguments, where)
        if origin in _TABLES:
            key, value = arguments or (str, Any)
            if key is not str:
                raise SignatureError(f"{where}: the keys of a JSON object are text; write dict[str, ...]")
            return Dict(self.json_type(value, f"{where}.*"))
        return None

    def _tuple(self, arguments: tuple[Any, ...], where: str) -> JsonType:
        if not arguments:
            return Array(Anything(), tuple, (tuple,))
        if arguments[1:] == (...,):
            return Array(self._item(arguments[:1], where), tuple, (tuple,))
        return Tuple(tuple(self.json_type(each, f"{where}[{index}]") for index, each in enumerate(arguments)))

    def _item(self, arguments: tuple[Any, ...], where: str) -> JsonType:
        return self.json_type(arguments[0], f"{where}[]") if arguments else Anything()

    def _union(self, members: tuple[Any, ...], where: str) -> JsonType:
        others = [each for each in members if each is not type(None)]
        json_types = tuple(self.json_type(each, where) for each in others)
        json_type = json_types[0] if len(json_types) == 1 else Union(json_types)
        return json_type if len(others) == len(members) else Nullable(json_type)

    def _record(self, cls: type, where: str) -> JsonType | None:
        with self._inside(cls, where):
            if callable(getattr(cls, "model_json_schema", None)):
                return _model(cls, self._mode, where)
            if dataclasses.is_dataclass(cls):
                return self._dataclass(cls, where)
            if issubclass(cls, dict) and hasattr(cls, "__total__"):
                return self._typed_dict(cls, where)
            if issubclass(cls, tuple) and hasattr(cls, "_fields"):
                return self._named_tuple(cls, where)
        return None

    @contextmanager
    def _inside(self, opened: Any, where: str) -> Iterator[None]:
        if opened in self._opened:
            raise _recursive(opened, where)
        self._opened.append(opened)
        yield
        self._opened.pop()

    def _dataclass(self, cls: type, where: str) -> JsonType:
        hints = type_hints(cls, where)
        text, described = _documented(cls)
        fields = []
        for name, hint in hints.items():
            if isinstance(hint, dataclasses.InitVar):
                raise SignatureError(f"{at(where, name)}: an InitVar cannot be read back; make it a field")
        for each in dataclasses.fields(cls):
            hint, place = hints[each.name], at(where, each.name)
            if self._mode == "serialization":
                fields.append(self.field(each.name, hint, ABSENT, described, place))
            elif each.init:
                field = self.field(
                    each.name, hint, ABSENT if each.default is dataclasses.MISSING else each.default, described, place
                )
                # A default_factory may return another value each time: the class applies it.
                made = each.default_factory is not dataclasses.MISSING
                fields.append(dataclasses.replace(field, required=False) if made else field)
        return Record(tuple(fields), cls, cls, getattr, text)

    def _typed_dict(self, cls: Any, where: str) -> JsonType:
        text, described = _documented(cls)
        fields = []
        for name, hint in type_hints(cls, where).items():
            annotation, required = _unwrapped(hint, name in cls.__required_keys__)
            field = self.field(name, annotation, ABSENT, described, at(where, name))
            left_out = field.default if required else ABSENT
            fields.append(dataclasses.replace(field, required=required and left_out is ABSENT, default=left_out))
        return Record(tuple(fields), description=text)

    def _named_tuple(self, cls: Any, where: str) -> JsonType:
        hints = type_hints(cls, where)
        text, described = _documented(cls)
        defaults = cls._field_defaults if self._mode == "validation" else {}
        fields = [
            self.field(name, hints.get(name, Any), defaults.get(name, ABSENT), described, at(where, name))
            for name in cls._fields
        ]
        return Record(tuple(fields), cls, cls, getattr, text)


_ADVICE = (
    "write str, int, float, bool, datetime, date, time, timedelta, UUID, Path, Decimal, an Enum, Literal[...], "
    "list[...], tuple[...], set[...], dict[str, ...], or a dataclass, TypedDict, NamedTuple or pydantic model"
)


def _takes_null(json_type: JsonType, default: Any) -> bool:
    """Whether a field may be omitted, and is None then. A required field of type Any takes null as a value."""
    return default is None if isinstance(json_type, Anything) else NULL in json_type.schema().get("anyOf", ())


def _meaning(annotation: Any) -> Any:
    """The type behind a NewType or a `type` statement; None for anything else."""
    if isinstance(annotation, type):
        return None
    return getattr(annotation, "__supertype__", getattr(annotation, "__value__", None))


def _recursive(annotation: Any, where: str) -> SignatureError:
    return SignatureError(
        f"{where}: {_shown(annotation)} holds itself; agents need a schema of known depth, so nest less"
    )


def _model(cls: type, mode: Mode, where: str) -> JsonType:
    try:
        return model_type(cls, mode)
    except Recursive as error:
        raise _recursive(cls, where) from error
    except Exception as error:  # pydantic's errors; pydantic is not imported here
        problem = str(error).partition("\n")[0]
        raise SignatureError(f"{where}: {cls.__name__} has no JSON Schema: {problem}; change that model") from error


def _one_value(cls: type, where: str) -> JsonType | None:
    if issubclass(cls, enum.Enum):
        return _enum(cls, where)
    return path_type(cls) if issubclass(cls, PurePath) else None


def _unwrapped(annotation: Any, required: bool) -> tuple[Any, bool]:
    """A TypedDict's annotation without Required, NotRequired and ReadOnly, and whether the key is required."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        inner, required = _unwrapped(arguments[0], required)
        return typing.Annotated[(inner, *arguments[1:])], required
    if origin not in _WRAPPERS:
        return annotation, required
    stated = {typing.Required: True, typing.NotRequired: False}.get(origin, required)
    return _unwrapped(arguments[0], stated)


def _enum(cls: type[enum.Enum], where: str) -> JsonType:
    if issubclass(cls, enum.Flag):
        raise SignatureError(f"{where}: a Flag is several values at once; write set[...] of an Enum")
    return _choice([(_value(member), member) for member in cls], where)


def _choice(options: list[tuple[Any, Any]], where: str) -> JsonType:
    for value, _ in options:
        if not is_plain(value):
            raise SignatureError(f"{where}: {value!r} is no text, number, true or false, so no choice of an agent")
    if not options:
        raise SignatureError(f"{where}: an Enum without members has no values; give it some")
    return Choice(tuple(options))


def _value(member: Any) -> Any:
    return member.value if isinstance(member, enum.Enum) else member


def _documented(cls: type) -> tuple[str, Mapping[str, str]]:
    """The text of a class's docstring, and the descriptions of its fields."""
    text = cls.__dict__.get("__doc__") or ""
    # Without a docstring, dataclass and NamedTuple generate one: `Name(...)`, or the name alone.
    return ("", {}) if text.partition("(")[0] == cls.__name__ else read_docstring(inspect.cleandoc(text))


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
