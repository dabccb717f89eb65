"""@longtask.task: a function that can be called here, run in a pod, and offered to agents as a tool."""

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
    """What `@longtask.task(...)` with options is."""

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
    """Make a function, plain or async, a Task. Bare, or with what the tool shall be called and told to do.

    A first parameter that is called ctx, or annotated longtask.Context, is the context and no parameter of the tool.
    Absent options come from the function: its name, and its docstring. Raises TypeError for what cannot be a task.
    """
    if function is None:
        return functools.partial(Task, name=name, title=title, description=description)
    return Task(function)


class Task(Generic[P, R_co]):
    """A function and what is said of it. `name`, `title` and `description` are None where the function's own count."""

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
        functools.update_wrapper(self, function, updated=())  # what was set on the function is not the task's

    @functools.cached_property
    def signature(self) -> "Signature":
        """Parameters and result as JSON Schema; read at the first use, when all that annotations name is defined."""
        from longtask.signature import read  # noqa: PLC0415 - only who needs it pays for it

        return read(self)

    def __call__(self, *arguments: P.args, **parameters: P.kwargs) -> R_co:
        """Call the function, without the context: an async one gives something to await.

        Its context is that of the task that runs here, else one that reports nowhere (longtask.testing.recording).
        """
        result: R_co = self.call(running() or _recording(), *arguments, **parameters)
        return result

    def local(self, **parameters: Any) -> Any:
        """Run the function to its end, here, and return what it returns; what it raises passes through.

        As a call, but for an async function too: it runs in an event loop of its own.
        """
        context = running() or _recording()
        if not self.signature.is_async:
            return self.call(context, **parameters)
        import asyncio  # noqa: PLC0415

        return asyncio.run(self.call(context, **parameters))

    def call(self, context: Context, *arguments: Any, **parameters: Any) -> Any:
        """Call the function with this context, which is longtask.current() meanwhile."""
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
        """By its name, as a function is: another process finds the task where its module has it."""
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"<longtask task {self.function.__module__}:{self.function.__qualname__}>"


def _recording() -> Context:
    from longtask.testing import Recording  # noqa: PLC0415

    return Context(Recording())
