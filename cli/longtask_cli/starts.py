"""The LongTask that a start creates, and its name. Pure."""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, Final

from longtask_api import constants
from longtask_api.longtask import LongTask

ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
"""As in names that Kubernetes generates: without vowels, so that no words appear."""
SUFFIX_LENGTH: Final = 5


def names(template: str, key: str | None) -> Iterator[str]:
    """Names to try for a task: with a key always the same ones, so that a repeated create meets the first task."""
    for number in count():
        seed = json.dumps(["command line", template, key, number]).encode()
        drawn = int.from_bytes(hashlib.sha256(seed).digest() if key is not None else secrets.token_bytes(16))
        letters = [ALPHABET[drawn // len(ALPHABET) ** place % len(ALPHABET)] for place in range(SUFFIX_LENGTH)]
        yield f"{template}-{''.join(letters)}"


def document(
    name: str, template: str, parameters: Mapping[str, Any], key: str | None, given: str | None
) -> dict[str, Any]:
    """The LongTask to create. It has no requester: only the MCP server may set one, for the agent that calls it."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TASK_KIND,
        "metadata": {
            "name": name,
            "labels": {constants.LABEL_TEMPLATE: template, constants.LABEL_MANAGED_BY: constants.MANAGED_BY},
            "annotations": {constants.ANNOTATION_GIVEN: given} if given is not None else {},
        },
        "spec": {
            "templateRef": {"name": template},
            "parameters": dict(parameters),
            **({"idempotencyKey": key} if key is not None else {}),
        },
    }


def is_of_key(task: LongTask, template: str, key: str) -> bool:
    """Whether a task was started from the command line with that template and key."""
    return (
        task.spec.requester is None
        and task.spec.template_ref.name == template
        and task.spec.idempotency_key == key
        and task.metadata.deletion_timestamp is None
    )
