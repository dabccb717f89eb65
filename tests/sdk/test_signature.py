"""What a function's annotations, defaults and docstring become."""

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, TypeVar
from uuid import UUID

import annotated_types
import pydantic
import pytest
from jsonschema import Draft202012Validator
from typing_extensions import TypeAliasType

import longtask
from longtask.signature import RESERVED, Signature, SignatureError, read
from longtask.values import decode
from longtask_api.mcp_names import RESERVED_ARGUMENTS
from longtask_api.parameters import check_schema
from tests.sdk import samples
from tests.spread import named

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blü"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Unit(StrEnum):
    GRAM = "g"


class Mixed(Enum):
    NONE = None
    ONE = 1
    TEXT = "x"


@dataclass
class Settings:
    seed: int | None
    day: date | None = None
    limit: int | None = 9


class Right(Flag):
    READ = 1


class Empty(Enum):
    pass


class Odd(Enum):
    PAIR = (1, 2)


@dataclass(frozen=True)
class Optimizer:
    rate: float
    steps: int = 3
    tags: list[str] = field(default_factory=list)
    seen: int = field(default=0, init=False)


@dataclass
class Documented:
    """How to step.

    Attributes:
        rate: Size of a step,
            not too large.
    """

    rate: Annotated[float, "not this"]
    kind: Annotated[str, "Which one."] = "adam"


@dataclass
class Node:
    next: "Node | None" = None


@dataclass
class Seeded:
    seed: InitVar[int]


@dataclass
class Page(Generic[T]):
    items: list[T]


class Point(NamedTuple):
    x: int
    y: int = 0


class Options(TypedDict):
    fast: bool
    depth: NotRequired[int]


class Layer(pydantic.BaseModel):
    title: str
    size: Annotated[int, pydantic.Field(ge=1, title="Size", description="Neurons.")] = 8


class Net(pydantic.BaseModel):
    layers: list[Layer]
    first: Layer | None = None
    day: date | None = None
    mode: Literal["auto", 1] = 1
    size: int | None = 4
    any: Any = None

    @pydantic.computed_field
    def depth(self) -> int:
        return len(self.layers)


class OpenNet(pydantic.BaseModel, extra="allow"):
    name: str


class Tree(pydantic.BaseModel):
    children: "list[Tree]"


class Unwritable(pydantic.BaseModel):
    call: Callable[[], None]


class NotFinite(pydantic.BaseModel):
    limit: float = math.nan


UserId = NewType("UserId", str)
STRING = {"type": "string"}
NULL = {"type": "null"}
ANYTHING = {"anyOf": [{"type": each} for each in ("string", "number", "boolean", "object", "array", "null")]}
INTEGER = {"type": "integer"}
OBJECT = {"type": "object", "additionalProperties": False}
LAYER = {
    **OBJECT,
    "properties": {"title": STRING, "size": {**INTEGER, "minimum": 1, "description": "Neurons.", "default": 8}},
    "required": ["title"],
}

SCHEMAS: list[tuple[Any, dict[str, Any]]] = [
    (str, STRING),
    (int, INTEGER),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (datetime, {"type": "string", "format": "date-time"}),
    (date, {"type": "string", "format": "date"}),
    (time, {"type": "string", "format": "time"}),
    (timedelta, {"type": "string", "format": "duration"}),
    (UUID, {"type": "string", "format": "uuid"}),
    (Decimal, {"type": "string", "format": "decimal"}),
    (Path, STRING),
    (Any, ANYTHING),
    (object, ANYTHING),
    (UserId, STRING),
    (TypeAliasType("Rate", float), {"type": "number"}),
    (Colour, {"type": "string", "enum": ["red", "blü"]}),
    (Level, {"type": "integer", "enum": [1, 2]}),
    (Literal["a", 2, "b"], {"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "integer", "enum": [2]}]}),
    (Literal[Colour.RED], {"type": "string", "enum": ["red"]}),
    (list, {"type": "array"}),
    (list[Any], {"type": "array"}),
    (list[list[int]], {"type": "array", "items": {"type": "array", "items": INTEGER}}),
    (Sequence[int], {"type": "array", "items": INTEGER}),
    (tuple, {"type": "array"}),
    (tuple[int, ...], {"type": "array", "items": INTEGER}),
    (tuple[int, str], {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 2, "maxItems": 2}),
    (set[str], {"type": "array", "items": STRING, "uniqueItems": True}),
    (AbstractSet[Colour], {"type": "array", "items": {"type": "string", "enum": ["red", "blü"]}, "uniqueItems": True}),
    (dict, {"type": "object"}),
    (dict[str, Any], {"type": "object"}),
    (Mapping[str, int], {"type": "object", "additionalProperties": INTEGER}),
    (int | str, {"anyOf": [INTEGER, STRING]}),
    (Annotated[int, "So many."], {**INTEGER, "description": "So many."}),
    (Annotated[int, pydantic.Field(ge=1, lt=9, description="Few.")], {**INTEGER, "minimum": 1, "exclusiveMaximum": 9}
     | {"description": "Few."}),
    (Annotated[str, annotated_types.Len(1, 3), pydantic.Field(pattern="^a")],
     {**STRING, "minLength": 1, "maxLength": 3, "pattern": "^a"}),
    (Annotated[list[int], annotated_types.MinLen(0)], {"type": "array", "items": INTEGER, "minItems": 0}),
    (Annotated[dict[str, int], annotated_types.MaxLen(2)],
     {"type": "object", "additionalProperties": INTEGER, "maxProperties": 2}),
    (Annotated[int, annotated_types.Unit("m"), frozenset()], INTEGER),
    (Optimizer, {
        **OBJECT,
        "properties": {
            "rate": {"type": "number"},
            "steps": {**INTEGER, "default": 3},
            "tags": {"type": "array", "items": STRING},
        },
        "required": ["rate"],
    }),
    (Documented, {
        **OBJECT,
        "description": "How to step.",
        "properties": {
            "rate": {"type": "number", "description": "Size of a step, not too large."},
            "kind": {**STRING, "description": "Which one.", "default": "adam"},
        },
        "required": ["rate"],
    }),
    (Point, {**OBJECT, "properties": {"x": INTEGER, "y": {**INTEGER, "default": 0}}, "required": ["x"]}),
    (Options, {**OBJECT, "properties": {"fast": {"type": "boolean"}, "depth": INTEGER}, "required": ["fast"]}),
    (samples.Half, {
        **OBJECT,
        "properties": {"must": INTEGER, "may": INTEGER, "can": {**STRING, "description": "Or not."}},
        "required": ["must"],
    }),
    (Layer, LAYER),
    (Net, {
        **OBJECT,
        "properties": {
            "layers": {"type": "array", "items": LAYER},
            "first": LAYER,
            "day": {"type": "string", "format": "date"},
            "mode": {"anyOf": [{"type": "string", "enum": ["auto"]}, {"type": "integer", "enum": [1]}], "default": 1},
            "size": {"anyOf": [INTEGER, NULL], "default": 4},
            "any": ANYTHING,
        },
        "required": ["layers"],
    }),
    (OpenNet, {"type": "object", "properties": {"name": STRING}, "required": ["name"], "additionalProperties": True}),
]  # fmt: skip


OPTIONAL: list[tuple[Any, dict[str, Any]]] = [
    (int | None, INTEGER),
    (Optional[Colour], {"type": "string", "enum": ["red", "blü"]}),  # noqa: UP045
    (Mixed, {"anyOf": [{"type": "integer", "enum": [1]}, {"type": "string", "enum": ["x"]}]}),
    (Literal["a", None], {"type": "string", "enum": ["a"]}),
    (Literal["a", None] | None, {"type": "string", "enum": ["a"]}),
    (int | str | None, {"anyOf": [INTEGER, STRING]}),
    (list[int] | None, {"type": "array", "items": INTEGER}),
    (Annotated[float | None, annotated_types.Interval(gt=0, le=0.5)],
     {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}),
    (Annotated[int | None, "So many."], {**INTEGER, "description": "So many."}),
    (Optimizer | None, {
        **OBJECT,
        "properties": {
            "rate": {"type": "number"},
            "steps": {**INTEGER, "default": 3},
            "tags": {"type": "array", "items": STRING},
        },
        "required": ["rate"],
    }),
    (Settings, {
        **OBJECT,
        "properties": {
            "seed": INTEGER,
            "day": {"type": "string", "format": "date"},
            "limit": {"anyOf": [INTEGER, NULL], "default": 9},
        },
    }),
]  # fmt: skip


def with_parameter(annotation: Any, default: Any = inspect.Parameter.empty, name: str = "value") -> Callable[..., None]:
    """A function with one parameter."""

    def function(**values: Any) -> None: ...

    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
    function.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    function.__annotations__ = {name: annotation}
    return function


def returning(annotation: Any) -> Signature:
    """The signature of a function that returns such a value."""

    def function() -> None: ...

    function.__annotations__ = {"return": annotation}
    return read(function)


@pytest.mark.parametrize(("annotation", "schema"), SCHEMAS, ids=lambda each: str(each)[:60])
def test_an_annotation_becomes_a_schema_that_a_template_may_have(annotation: Any, schema: dict[str, Any]) -> None:
    found = read(with_parameter(annotation)).parameters_schema()
    assert found == {**OBJECT, "properties": {"value": schema}, "required": ["value"]}
    assert check_schema(found) == []


@pytest.mark.parametrize(("annotation", "schema"), OPTIONAL[:-1], ids=lambda each: str(each)[:60])
@pytest.mark.parametrize("default", [inspect.Parameter.empty, None])
def test_an_optional_parameter_need_not_be_given_and_null_stands_in_no_schema(
    annotation: Any, schema: dict[str, Any], default: Any
) -> None:
    signature = read(with_parameter(annotation, default))
    assert signature.parameters_schema() == {**OBJECT, "properties": {"value": schema}}
    for sent in ({}, {"value": None}):
        assert decode(signature, sent) in ({"value": None}, {"value": Mixed.NONE})


def test_an_optional_field_is_as_an_optional_parameter() -> None:
    annotation, schema = OPTIONAL[-1]
    signature = read(with_parameter(annotation))
    assert signature.parameters_schema()["properties"]["value"] == schema
    assert decode(signature, {"value": {}})["value"] == Settings(None)
    assert decode(signature, {"value": {"seed": None, "limit": None}})["value"] == Settings(None, limit=None)


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (list[int | None], {"type": "array", "items": {"anyOf": [INTEGER, NULL]}}),
        (
            dict[str, Literal["a", None]],
            {"type": "object", "additionalProperties": {"anyOf": [{"type": "string", "enum": ["a"]}, NULL]}},
        ),
        (list[int | str | None], {"type": "array", "items": {"anyOf": [INTEGER, STRING, NULL]}}),
    ],
    ids=named,
)
def test_where_null_is_a_value_of_its_own_it_is_a_type_among_others(annotation: Any, schema: dict[str, Any]) -> None:
    assert read(with_parameter(annotation)).parameters_schema()["properties"]["value"] == schema


def test_a_default_that_is_not_none_leaves_null_a_value() -> None:
    schema = read(with_parameter(int | None, 3)).parameters_schema()
    assert schema == {**OBJECT, "properties": {"value": {"anyOf": [INTEGER, NULL], "default": 3}}}


@pytest.mark.parametrize("annotation", [each for each, _ in (*SCHEMAS, *OPTIONAL)], ids=lambda each: str(each)[:60])
def test_every_place_of_a_tool_has_one_type_or_a_choice_of_such(annotation: Any) -> None:
    """Clients of tools refuse others: whole lists of tools, for one place."""

    def look(schema: Any) -> None:
        if "anyOf" in schema:
            assert "type" not in schema
            for each in schema["anyOf"]:
                look(each)
        else:
            assert isinstance(schema["type"], str), schema
        inside = [*schema.get("properties", {}).values(), *schema.get("prefixItems", [])]
        for each in [
            *inside,
            *(schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)),
        ]:
            look(each)

    look(read(with_parameter(annotation)).parameters_schema())


@pytest.mark.parametrize(
    ("annotation", "default", "encoded"),
    [
        (int, 3, 3),
        (float, 1, 1),
        (str, Unit.GRAM, "g"),
        (int | None, 3, 3),
        (Colour, Colour.BLUE, "blü"),
        (Literal["a", "b"], "b", "b"),
        (datetime, datetime(2026, 1, 31, 18, 30, tzinfo=UTC), "2026-01-31T18:30:00+00:00"),
        (date, date(2026, 1, 31), "2026-01-31"),
        (timedelta, timedelta(days=1, seconds=2.5), "P1DT2.5S"),
        (timedelta, timedelta(0), "PT0S"),
        (timedelta, timedelta(seconds=-1), "-PT1S"),
        (Path, Path("/data"), "/data"),
        (Decimal, Decimal("0.10"), "0.10"),
        (Sequence[int], (1, 2), [1, 2]),
        (set[str], {"c", "a", "b"}, ["a", "b", "c"]),
        (tuple[int, str], (1, "x"), [1, "x"]),
        (dict[str, Level], {"a": Level.HIGH}, {"a": 2}),
        (Optimizer, Optimizer(0.1), {"rate": 0.1, "steps": 3, "tags": []}),
        (Point, Point(1), {"x": 1, "y": 0}),
        (Options, {"fast": True}, {"fast": True}),
        (Layer, Layer(title="a"), {"title": "a", "size": 8}),
        (int | str, "x", "x"),
        (Any, {"a": [1, None, (2,)]}, {"a": [1, None, [2]]}),
        (Annotated[int, annotated_types.Ge(1)], 1, 1),
    ],
    ids=named,
)
def test_a_default_is_written_as_json(annotation: Any, default: Any, encoded: Any) -> None:
    schema = read(with_parameter(annotation, default)).parameters_schema()
    assert schema["properties"]["value"]["default"] == encoded
    assert "required" not in schema
    assert check_schema(schema) == []
    Draft202012Validator(schema).validate({"value": encoded})


@pytest.mark.parametrize(
    ("annotation", "default", "problem"),
    [
        (int, "3", "'3' is not a whole number"),
        (int, True, "True is not a whole number"),
        (int, None, "None is not a whole number"),
        (float, math.nan, "nan is not a number"),
        (float, math.inf, "inf is not a number"),
        (float, True, "True is not a number"),
        (str, 3, "3 is not text"),
        (str, "a\0", "'a\\x00' is not text"),
        (str, "\ud800", "'\\ud800' is not text"),
        (date, datetime(2026, 1, 31, tzinfo=UTC), "'2026-01-31T00:00:00+00:00' is not a date"),
        (datetime, datetime(2026, 1, 31), "is not a date and time with an offset"),  # noqa: DTZ001
        (Decimal, Decimal("NaN"), "'NaN' is not a decimal number"),
        (Colour, "red", "'red' is not one of 'red', 'blü'"),
        (Literal[1], True, "True is not one of 1"),
        (list[int], (1,), "(1,) is not a list"),
        (list[int], [1, "x"], "[1]: 'x' is not a whole number"),
        (Sequence[str], "abc", "'abc' is not a list"),
        (tuple[int, str], (1,), "(1,) is not a tuple of 2 items"),
        (dict[str, int], {1: 1}, "{1: 1} is not a dict with keys of text"),
        (dict[str, float], {"a": math.nan}, "a: nan is not a number"),
        (Optimizer, {"rate": 1}, "{'rate': 1} is not a Optimizer"),
        (Optimizer, Optimizer(math.inf), "rate: inf is not a number"),
        (Layer, Layer.model_construct(title="a", size=0), "size: Input should be greater than or equal to 1"),
        (int | str, 0.5, "fits none of the 2 possible types: 0.5 is not a whole number; 0.5 is not text"),
        (Any, object, "is not a list"),
        (Annotated[int, annotated_types.Ge(1)], 0, "0 must be at least 1"),
        (Annotated[str, annotated_types.MinLen(2)], "a", "'a' must have at least 2 characters"),
    ],
    ids=named,
)
def test_a_default_that_does_not_fit_is_refused(annotation: Any, default: Any, problem: str) -> None:
    with pytest.raises(SignatureError) as raised:
        read(with_parameter(annotation, default))
    text = str(raised.value)
    assert ": value: the default does not fit the annotation: " in text
    assert problem in text
    assert text.endswith("; change one of them")


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (bytes, "value: bytes has no JSON form; write str, int, "),
        (list[complex], "value[]: complex has no JSON form; "),
        (dict[str, bytes], "value.*: bytes has no JSON form; "),
        (tuple[int, bytes], "value[1]: bytes has no JSON form; "),
        (dict[int, str], "value: the keys of a JSON object are text; write dict[str, ...]"),
        (set[Optimizer], "value: a set holds plain values such as str or int; write list[...]"),
        (T, "value: ~T has no JSON form; "),
        (Page[int], "Page[int] has no JSON form; "),
        (Callable[[], None], "has no JSON form; "),
        (["int"], "value: ['int'] has no JSON form; "),
        (None, "value: NoneType has no JSON form; "),
        (Right, "value: a Flag is several values at once; write set[...] of an Enum"),
        (Empty, "value: an Enum without members has no values; give it some"),
        (Odd, "value: (1, 2) is no text, number, true or false"),
        (Literal[b"x"], "value: b'x' is no text, number, true or false"),
        (Node, "value.next: Node holds itself; agents need a schema of known depth, so nest less"),
        (Tree, "value: Tree holds itself; "),
        (Unwritable, "value: Unwritable has no JSON Schema: "),
        (NotFinite, "value: NotFinite has no JSON Schema: Out of range float values"),
        (Seeded, "value.seed: an InitVar cannot be read back; make it a field"),
        (Annotated[datetime, annotated_types.Ge(0)], "value: JSON Schema has no word for ge of string; remove it"),
        (Annotated[int | str, annotated_types.Ge(0)], "value: JSON Schema has no word for ge of this type; remove it"),
        (Annotated[int, annotated_types.Ge(math.nan)], "value: ge=nan is no limit that JSON Schema can state"),
        (Annotated[str, annotated_types.MinLen(-1)], "value: min_length=-1 is no limit"),
        (Annotated[str, pydantic.StringConstraints(pattern="(")], "value: pattern='(' is no limit"),
    ],
    ids=lambda each: str(each)[:60],
)
def test_an_annotation_without_a_json_form_is_refused(annotation: Any, problem: str) -> None:
    with pytest.raises(SignatureError) as raised:
        read(with_parameter(annotation))
    assert f"{__name__}.with_parameter.<locals>.function: {problem}" in str(raised.value) or (
        problem in str(raised.value) and not problem.startswith("value")
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement is new in 3.12")
def test_a_type_statement_that_holds_itself_is_refused() -> None:
    scope: dict[str, Any] = {}
    exec("type Tree = int | list[Tree]", scope)
    with pytest.raises(SignatureError, match=r"value\[\]: Tree holds itself"):
        read(with_parameter(scope["Tree"]))


def _star(*names: str) -> None: ...
def _double_star(**names: str) -> None: ...
def _positional(name: str, /) -> None: ...
def _unannotated(ctx, name) -> None: ...  # type: ignore[no-untyped-def]
def _reserved(wait_seconds: int) -> None: ...
def _reserved_key(idempotency_key: int) -> None: ...
def _alike(rate: int, Rate: int) -> None: ...  # noqa: N803
def _not_ascii(größe: int) -> None: ...  # noqa: PLC2401
def _unknown(name: "Unknown") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _generator() -> Any:
    yield 1


async def _async_generator() -> Any:
    yield 1


def _bad_result() -> list[bytes]: ...  # type: ignore[empty-body]


_long_name = with_parameter(int, name="a" * 65)  # fmt: skip


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (_star, "_star: *names: an agent gives values by name; write a list parameter"),
        (_double_star, "**names: an agent must know the names; write each parameter, or one dict[str, ...]"),
        (_positional, "_positional: name: an agent gives values by name; move it behind the `/`"),
        (_unannotated, "_unannotated: name: it has no annotation; write its type, as in `name: str`"),
        (_reserved, "_reserved: wait_seconds: LongTask takes an argument of that name itself; rename it"),
        (_reserved_key, "idempotency_key: LongTask takes an argument of that name itself; rename it"),
        (_alike, "_alike: rate and Rate would both be LONGTASK_PARAM_RATE; rename one"),
        (_not_ascii, "größe: a name has at most 64 of A-Z, a-z, 0-9 and _; rename it"),
        (_long_name, "aaa: a name has at most 64 of A-Z, a-z, 0-9 and _; rename it"),
        (_unknown, "_unknown: its annotations cannot be read (NameError: name 'Unknown' is not defined); define and"),
        (_generator, "_generator: a generator has no single result; return it, and tell steps by ctx.progress"),
        (_async_generator, "_async_generator: a generator has no single result; return it, and tell steps by ctx."),
        (_bad_result, "_bad_result: the returned value[]: bytes has no JSON form; write str, "),
        (samples.local_class(), "its annotations cannot be read (NameError: name 'Local' is not defined); define and"),
        (len, "<built-in function len> is no function; decorate or name a function that is written with `def`"),
        (Optimizer, "is no function; decorate or name a function that is written with `def`"),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused(function: Any, sentence: str) -> None:
    with pytest.raises(SignatureError) as raised:
        read(function)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (inspect.Parameter.empty, None),
        (None, None),
        (Any, None),
        (Any | None, None),
        (str, STRING),
        (list[Layer], {"type": "array", "items": {
            "type": "object",
            "properties": {"title": STRING, "size": {**INTEGER, "minimum": 1, "description": "Neurons.", "default": 8}},
            "required": ["title"],
        }}),
        (Optimizer, {
            **OBJECT,
            "properties": {
                "rate": {"type": "number"},
                "steps": INTEGER,
                "tags": {"type": "array", "items": STRING},
                "seen": INTEGER,
            },
            "required": ["rate", "steps", "tags", "seen"],
        }),
        (Point, {**OBJECT, "properties": {"x": INTEGER, "y": INTEGER}, "required": ["x", "y"]}),
    ],
    ids=named,
)  # fmt: skip
def test_a_result_has_the_schema_of_what_is_written(annotation: Any, schema: dict[str, Any] | None) -> None:
    def function() -> None: ...

    function.__annotations__ = {} if annotation is inspect.Parameter.empty else {"return": annotation}
    assert read(function).result_schema() == schema


def test_a_models_result_has_its_computed_fields() -> None:
    schema = returning(Net).result_schema()
    assert schema is not None
    assert "depth" in schema["properties"]
    Draft202012Validator(schema).validate(Net(layers=[Layer(title="a")]).model_dump(mode="json"))


def test_string_annotations_are_resolved() -> None:
    signature = read(samples.train)
    assert signature.takes_context
    assert list(signature.parameters_schema()["properties"]) == ["model_name", "day", "optimizer"]
    assert signature.parameters_schema()["properties"]["optimizer"]["properties"]["rate"]["minimum"] == 0
    assert signature.result_schema() == {"type": "object", "additionalProperties": {"type": "number"}}


def google(ctx: object, name: str, size: int = 1, *, plain: bool = False) -> None:
    """Counts: with care.

    More of it.

    Args:
        ctx: The context.
        name: What to count,
            in two lines:
                three.
        size (int, optional): How many.

    Returns:
        name: not this.

        Nor this.

    It takes a minute.
    """


def sphinx(name: str, size: int = 1) -> None:
    """Counts.

    :param name: What to count,
        in two lines.
    :param int size: How many.
    :type size: int
    :returns: Nothing,
        really.
    :raises ValueError: Never.
    :rtype: None

    :class:`int` is slow.
    """


def late(name: str) -> None:
    """Counts.

    Example:
        late("x")
    Args:
        name: What to count.
    """


def brackets(sizes: tuple[int, ...], rate: float, depth: int) -> None:
    """Counts.

    Args:
        In that order.
        sizes (tuple(int)): Of the
        layers.
        `rate` (float (0..1), optional): How fast, see
            https://x.example
        https://y.example
        depth : How deep (in levels): a number.
    """


@pytest.mark.parametrize(
    ("function", "description", "parameters"),
    [
        (
            google,
            "Counts: with care.\n\nMore of it.\n\nReturns:\n    name: not this.\n\n    Nor this.\n\nIt takes a minute.",
            ["What to count, in two lines: three.", "How many.", None],
        ),
        (
            sphinx,
            "Counts.\n\nReturns: Nothing, really.\nRaises ValueError: Never.\n\n:class:`int` is slow.",
            ["What to count, in two lines.", "How many."],
        ),
        (late, 'Counts.\n\nExample:\n    late("x")', ["What to count."]),
        (
            brackets,
            "Counts.\n\nIn that order.",
            [
                "Of the layers.",
                "How fast, see https://x.example https://y.example",
                "How deep (in levels): a number.",
            ],
        ),
    ],
)
def test_a_docstring_describes_the_function_and_its_parameters(
    function: Callable[..., None], description: str, parameters: list[str | None]
) -> None:
    signature = read(function)
    assert signature.description == description
    properties = signature.parameters_schema()["properties"].values()
    assert [each.get("description") for each in properties] == parameters


def test_names_and_title_come_from_the_function() -> None:
    signature = read(google)
    assert (signature.name, signature.title) == ("google", "Google")
    signature = read(samples.with_context)
    assert (signature.name, signature.title) == ("with_context", "With Context")


def test_a_decorated_function_may_have_its_own_name_title_and_description() -> None:
    signature = read(longtask.task(name="count", description="Other.")(google))
    assert (signature.name, signature.title, signature.description) == ("count", "Count", "Other.")
    assert signature.function is google


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (google, True),
        (sphinx, False),
        (lambda: None, False),
        (lambda ctx: None, True),
        (samples.with_context, True),
    ],
)
def test_the_first_parameter_is_the_context_when_it_says_so(function: Callable[..., Any], takes: bool) -> None:
    signature = read(function)
    assert signature.takes_context is takes
    assert "ctx" not in signature.parameters_schema()["properties"]


def test_async_functions_are_known() -> None:
    async def function() -> int:
        return 1

    assert read(function).is_async
    assert read(function).result_schema() == INTEGER
    assert not read(google).is_async


def test_a_wrapped_function_is_called_through_its_wrapper() -> None:
    wrapped = samples.twice(samples.train)
    signature = read(wrapped)
    assert signature.function is wrapped
    assert signature.parameters_schema() == read(samples.train).parameters_schema()


@pytest.mark.parametrize("decorate", [samples.twice, functools.cache, lambda each: longtask.task(samples.twice(each))])
def test_a_decorator_above_the_task_is_refused_and_not_passed_over(decorate: Callable[..., Any]) -> None:
    with pytest.raises(
        SignatureError, match=r"samples\.train: another decorator stands above @longtask\.task, .* below"
    ):
        read(decorate(longtask.task(samples.train)))


@pytest.mark.parametrize("name", ["function", "call", "signature", "name", "title", "description"])
def test_what_an_author_sets_on_a_function_does_not_become_the_tasks_own(name: str) -> None:
    def bare(a: int) -> int:
        """Doubles."""
        return 2 * a

    setattr(bare, name, print)
    for each in (bare, longtask.task(bare)):
        signature = read(each)
        assert (signature.function, signature.name, signature.description) == (bare, "bare", "Doubles.")
    assert longtask.task(bare).local(a=2) == 4


def test_the_hash_changes_with_the_parameters_and_with_the_result_and_not_otherwise() -> None:
    def first(a: int) -> str: ...  # type: ignore[empty-body]
    def second(b: int) -> str: ...  # type: ignore[empty-body]
    def third(a: int) -> int: ...  # type: ignore[empty-body]
    def fourth(ctx: object, a: int) -> str:
        """Other text."""
        return ""

    hashes = [read(function).schema_hash() for function in (first, second, third, fourth)]
    assert len(set(hashes[:3])) == 3
    assert hashes[3] == hashes[0]
    assert len(hashes[0]) == 16
    assert int(hashes[0], 16) >= 0


def test_reserved_arguments_are_those_of_the_servers() -> None:
    assert RESERVED == RESERVED_ARGUMENTS


def test_the_longest_name_is_one_that_a_template_takes() -> None:
    schema = read(with_parameter(int, name="_" * 64)).parameters_schema()
    assert check_schema(schema) == []


def test_the_hash_is_of_what_fits_and_not_of_the_words() -> None:
    def plain(x: int) -> int:
        """Does it."""
        return x

    def described(x: Annotated[int, "How many."]) -> int:
        """Does it well.

        Args:
            x: How many there are.
        """
        return x

    def other(x: str) -> int:
        """Does it."""
        return len(x)

    assert read(plain).schema_hash() == read(described).schema_hash() != read(other).schema_hash()


def test_a_parameter_named_description_counts() -> None:
    def with_description(description: int) -> None:
        """Does it."""

    def with_other_type(description: str) -> None:
        """Does it."""

    assert read(with_description).schema_hash() != read(with_other_type).schema_hash()


def test_a_default_that_is_computed_anew_leaves_the_schema_hash_and_changes_the_other_one() -> None:
    def at(moment: str) -> Signature:
        return read(with_parameter(datetime, datetime.fromisoformat(moment)))

    first, second = at("2026-01-31T18:30:00Z"), at("2026-02-01T18:30:00Z")
    assert first.schema_hash() == second.schema_hash()
    assert first.text_hash() != second.text_hash()


def test_a_parameter_called_default_counts_in_the_hash_as_any_other() -> None:
    hashes = {
        read(with_parameter(each, name=name)).schema_hash()
        for each in (int, str)
        for name in ("default", "description")
    }
    assert len(hashes) == 4


def test_a_default_within_a_parameter_leaves_the_hash_too() -> None:
    def optimizer(steps: int) -> Signature:
        @dataclass
        class Optimizer:
            steps_: int = steps

        return read(with_parameter(Optimizer))

    assert optimizer(1).schema_hash() == optimizer(2).schema_hash()


def test_a_parameter_that_becomes_required_changes_the_hash() -> None:
    assert read(with_parameter(int)).schema_hash() != read(with_parameter(int, 1)).schema_hash()
