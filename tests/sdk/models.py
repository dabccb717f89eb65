"""A task with a pydantic model as its parameter; the processes import it as `models`."""

import pydantic

import longtask


class Inner(pydantic.BaseModel):
    x: int = 0


class Settings(pydantic.BaseModel):
    rate: float = 0.5
    inner: Inner | None = None


@longtask.task
def fit(settings: Settings, epochs: int = 3) -> float:
    """Fits."""
    return settings.rate * epochs
