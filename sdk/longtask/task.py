"""@longtask.task: a function that can be called locally, run in a pod, and offered to agents as a tool."""

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from longtask.context import Context, running

if TYPE_CHECKING:
    from longtask.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


_GENERATORS = 0x20 | 0x200
"""inspect.CO_GENERATOR and inspect.CO_ASYNC_GENERATOR; inspect is slow to import."""


class Decorator(Protocol):
    """What `@longtask.task(...)` with options returns."""

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> "Task[P, R]": ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> "Task[P, R]": ...


@overload
def task(function: Callable[Concatenate[Context, P], R], /) -> "Task[P, R]": ...
@overload
def task(function: Callable[P, R], /) -> "Task[P, R]": ...
@overload
def task(*, name: str | None = None, title: str | None = None, description: str | None = None) -> Decorator: ...
def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
) -> Any:
    """Make a plain or async function a Task: `@longtask.task`, or with options `@longtask.task(title="Train")`.

    A first parameter that is named ctx, or annotated longtask.Context, receives the context and is not a parameter of
    the tool. `name`, `title` and `description` are the tool's; they default to the function's name and docstring.
    Raises TypeError for a generator, and for anything that is not a function.
    """
    if function is None:
        return functools.partial(Task, name=name, title=title, description=description)
    return Task(function)


class Task(Generic[P, R_co]):
    """A function made a task. `function` is the original one.

    `name`, `title` and `description` are None where the function's own apply.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
    ) -> None:
        if not isinstance(function, types.FunctionType):
            raise TypeError(f"{function!r} is no function: @longtask.task stands above a def")
        if function.__code__.co_flags & _GENERATORS:
            raise TypeError(
                f"{function.__qualname__} is a generator, and a task has one result: "
                "return it, and tell what is done so far with ctx.progress(current, total)"
            )
        self.function = function
        self.name = name
        self.title = title
        self.description = description
        self._signature: Signature | None = None
        functools.update_wrapper(self, function, updated=())  # attributes set on the function are not copied

    @property
    def signature(self) -> "Signature":
        """Parameters and result as JSON Schema, read at first use, when all that the annotations name is defined.
        Raises longtask.signature.SignatureError."""
        if self._signature is None:  # not a cached_property: in Python 3.11 it has one lock for all tasks
            from longtask.signature import read  # noqa: PLC0415 - loaded on demand

            self._signature = read(self)
        return self._signature

    def __call__(self, *arguments: P.args, **parameters: P.kwargs) -> R_co:
        """Call the function without passing a context; an async function returns an awaitable.

        The context is that of the running task, else a new longtask.testing.Recording, which reports nowhere. Arguments
        and result are Python values, passed as they are: neither is checked against the annotations.
        """
        result: R_co = self.call(running() or _recording(), *arguments, **parameters)
        return result

    def local(self, **parameters: Any) -> Any:
        """Run the function to its end in this process and return its result; exceptions pass through.

        The same as a call, except that an async function runs in an event loop of its own.
        """
        context = running() or _recording()
        if not self.signature.is_async:
            return self.call(context, **parameters)
        import asyncio  # noqa: PLC0415

        return asyncio.run(self.call(context, **parameters))

    def call(self, context: Context, *arguments: Any, **parameters: Any) -> Any:
        """Call the function with this context, which is longtask.current() meanwhile. Raises TypeError if the arguments
        contain a context."""
        if any(isinstance(each, Context) for each in (*arguments, *parameters.values())):
            raise TypeError(f"{self.function.__qualname__} is a task, and gets its context by itself: leave it out")
        first = (context,) if self.signature.takes_context else ()
        if self.signature.is_async:
            return self._call_async(context, *first, *arguments, **parameters)
        with context.entered():
            return self.function(*first, *arguments, **parameters)

    async def _call_async(self, context: Context, *arguments: Any, **parameters: Any) -> Any:
        with context.entered():
            return await self.function(*arguments, **parameters)

    def __reduce__(self) -> str:
        """Pickle by qualified name, like a function: another process finds the task in its module."""
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"<longtask task {self.function.__module__}:{self.function.__qualname__}>"


def _recording() -> Context:
    from longtask.testing import Recording  # noqa: PLC0415

    return Context(Recording())
