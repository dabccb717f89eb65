"""A namespace of our own and objects in it."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from longtask_api import constants
from tests.api.objects import task, template
from tests.api.writes import Stored
from tests.kube import Kube

MakeTask = Callable[..., Stored]


@pytest.fixture(scope="session")
def kube(new_namespace: Callable[[], Kube]) -> Kube:
    """The namespace that most tests share."""
    return new_namespace()


@pytest.fixture(scope="session")
def new_name() -> Callable[[], str]:
    """A name that no object has yet."""
    numbers = itertools.count(1)
    return lambda: f"training-{next(numbers)}"


@pytest.fixture(scope="session")
def a_task(kube: Kube, new_name: Callable[[], str]) -> MakeTask:
    """Makes a LongTask with more in its spec, and a status if one is given."""

    def make(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> Stored:
        body = task(new_name(), spec)
        return _applied(kube, constants.TASK_PLURAL, body, status)

    return make


@pytest.fixture(scope="session")
def a_template(kube: Kube, new_name: Callable[[], str]) -> MakeTask:
    """Makes a LongTaskTemplate with more in its spec, and a status if one is given."""

    def make(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> Stored:
        return _applied(kube, constants.TEMPLATE_PLURAL, template(new_name(), spec), status)

    return make


def _applied(kube: Kube, plural: str, body: dict[str, Any], status: dict[str, Any] | None) -> Stored:
    stored = Stored(kube, kube.path(plural, body["metadata"]["name"]))
    kube.apply(stored.path, body).done()
    if status is not None:
        kube.apply(
            f"{stored.path}/status", {key: body[key] for key in body if key != "spec"} | {"status": status}
        ).done()
    return stored
