"""Derives a tool from a function: JSON Schema (2020-12) of its parameters and result, title and description."""

import hashlib
import inspect
import json
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from longtask.docstrings import read_docstring
from longtask.json_types.annotations import Reader, type_hints
from longtask.json_types.base import JsonType, Schema, SignatureError
from longtask.json_types.composites import ABSENT, Field, Record
from longtask.task import Task

__all__ = ["Signature", "SignatureError", "read"]

RESERVED = frozenset({"wait_seconds", "idempotency_key"})
"""Arguments that every LongTask tool has in addition to the function's own."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_VARIADIC = {
    inspect.Parameter.VAR_POSITIONAL: "an agent gives values by name; write a list parameter",
    inspect.Parameter.VAR_KEYWORD: "an agent must know the names; write each parameter, or one dict[str, ...]",
    inspect.Parameter.POSITIONAL_ONLY: "an agent gives values by name; move it behind the `/`",
}


@dataclass(frozen=True)
class Signature:
    """A function as a tool. `returns` is None when the result has no schema; `unmatched` has the names that the
    docstring describes as parameters and the function does not have."""

    function: Callable[..., Any]
    name: str
    title: str
    description: str
    parameters: Record
    returns: JsonType | None
    takes_context: bool
    is_async: bool
    unmatched: tuple[str, ...]

    def parameters_schema(self) -> Schema:
        """The template's parametersSchema, with descriptions and defaults."""
        return self.parameters.schema()

    def result_schema(self) -> Schema | None:
        """The template's resultSchema; None if the return annotation is missing or allows anything."""
        return None if self.returns is None else self.returns.schema()

    def schema_hash(self) -> str:
        """First 16 hex digits of the SHA-256 of both schemas without descriptions and defaults.

        Equal as long as a template fits the function. Defaults are left out because an import may compute them anew.
        """
        return _digest([_rules(self.parameters_schema()), _rules(self.result_schema())])

    def text_hash(self) -> str:
        """First 16 hex digits of the SHA-256 of title, description, and both schemas with descriptions and defaults."""
        return _digest([self.title, self.description, self.parameters_schema(), self.result_schema()])


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rules(schema: Any) -> Any:
    """A schema without descriptions and defaults."""
    if isinstance(schema, list):
        return [_rules(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    rules = {}
    for key, value in schema.items():
        if key in ("enum", "const", "examples"):  # values, not schemas
            rules[key] = value
        elif key in ("properties", "patternProperties", "dependentSchemas"):  # schemas by name
            rules[key] = {name: _rules(each) for name, each in value.items()}
        elif key not in ("description", "default"):
            rules[key] = _rules(value)
    return rules


def read(function: Any) -> Signature:
    """Read the signature of a function or a Task; a Task's own name, title and description take precedence.

    Raises SignatureError with a message of one sentence.
    """
    called = function.function if isinstance(function, Task) else function
    plain = inspect.unwrap(called, stop=lambda each: isinstance(each, Task))
    if isinstance(plain, Task):
        inner = plain.function
        raise SignatureError(
            f"{inner.__module__}.{inner.__qualname__}: another decorator stands above @longtask.task, and what it "
            "makes is no task: put it below"
        )
    if not isinstance(plain, types.FunctionType):
        raise SignatureError(f"{function!r} is no function; decorate or name a function that is written with `def`")
    where = f"{plain.__module__}.{plain.__qualname__}"
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise SignatureError(f"{where}: a generator has no single result; return it, and tell steps by ctx.progress")
    hints = type_hints(plain, where)
    text, described = read_docstring(inspect.getdoc(plain) or "")
    parameters = list(inspect.signature(plain).parameters.values())
    takes_context = bool(parameters) and _is_context(parameters[0], hints)
    own = parameters[1:] if takes_context else parameters
    _check_places(own, hints, where)
    fields = tuple(_field(parameter, hints, described, where) for parameter in own)
    _check_names(fields, where)
    told = function if isinstance(function, Task) else None
    name = (told and told.name) or plain.__name__
    return Signature(
        function=called,
        name=name,
        title=(told and told.title) or name.replace("_", " ").replace("-", " ").strip().title(),
        description=(told and told.description) or text,
        parameters=Record(fields),
        returns=_returns(hints, where),
        takes_context=takes_context,
        is_async=inspect.iscoroutinefunction(called),
        unmatched=tuple(each for each in described if each not in {parameter.name for parameter in parameters}),
    )


def _is_context(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> bool:
    """Whether the first parameter is the context: it is named ctx, or annotated longtask.Context."""
    if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
        return False
    return parameter.name == "ctx" or _is_ours(hints.get(parameter.name))


def _is_ours(hint: Any) -> bool:
    module, name = getattr(hint, "__module__", ""), getattr(hint, "__name__", "")
    return str(module).partition(".")[0] == "longtask" and name == "Context"


def _check_places(parameters: Iterable[inspect.Parameter], hints: Mapping[str, Any], where: str) -> None:
    """Raise SignatureError for a context that is not the first parameter, and for a method."""
    for number, parameter in enumerate(parameters):
        name = parameter.name
        if number == 0 and name in ("self", "cls") and name not in hints:
            raise SignatureError(
                f"{where}: {name}: a method cannot be a task, for nobody makes its object: "
                "write a function at the top of the module, and make the object in it"
            )
        if _is_ours(hints.get(name)) or (name == "ctx" and name not in hints):
            raise SignatureError(
                f"{where}: {name}: the context comes first: write ({name}, ...), and the others after it"
            )


def _field(
    parameter: inspect.Parameter, hints: Mapping[str, Any], described: Mapping[str, str], function: str
) -> Field:
    name = parameter.name
    where = f"{function}: {name}"
    if parameter.kind in _VARIADIC:
        raise SignatureError(f"{function}: {str(parameter).partition(':')[0]}: {_VARIADIC[parameter.kind]}")
    if name not in hints:
        raise SignatureError(f"{where}: it has no annotation; write its type, as in `{name}: str`")
    default = ABSENT if parameter.default is parameter.empty else parameter.default
    return Reader("validation").field(name, hints[name], default, described, where)


def _check_names(fields: Iterable[Field], where: str) -> None:
    variables: dict[str, str] = {}
    for field in fields:
        if not _NAME.fullmatch(field.name):
            raise SignatureError(f"{where}: {field.name}: a name has at most 64 of A-Z, a-z, 0-9 and _; rename it")
        if field.name in RESERVED:
            raise SignatureError(f"{where}: {field.name}: LongTask takes an argument of that name itself; rename it")
        other = variables.setdefault(field.name.upper(), field.name)
        if other != field.name:
            variable = f"LONGTASK_PARAM_{field.name.upper()}"
            raise SignatureError(f"{where}: {other} and {field.name} would both be {variable}; rename one")


def _returns(hints: Mapping[str, Any], where: str) -> JsonType | None:
    annotation = hints.get("return", type(None))
    if annotation is type(None):
        return None
    json_type = Reader("serialization").json_type(annotation, f"{where}: the returned value")
    return json_type if json_type.schema() else None
