"""The store as the task API uses it: for one task, with errors as refusals."""

import contextlib
import logging
import secrets
from collections.abc import AsyncIterator
from http import HTTPStatus

from longtask_api.longtask import LongTask
from longtask_api.reports import Reference
from longtask_operator.store.errors import DigestMismatch, NotStored, StoreUnavailable, TooLarge
from longtask_operator.store.owner import Owner
from longtask_operator.store.store import Store
from longtask_operator.task_api.errors import Refusal, later
from longtask_operator.task_api.http_content import Begun, begun, digest_mismatch

logger = logging.getLogger(__name__)


class TaskBlobs:
    """The data of tasks in the store. Every method but `drop` raises Refusal if the store fails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def put(self, task: LongTask, what: str, media_type: str, body: Begun, sha256: str | None) -> Reference:
        """Store a body; `sha256` (hex digits) is its expected digest. `what` is the prefix of a key that is never
        reused: a body that is sent again, because its answer was lost, is stored twice, and dropping one does not
        remove the other.
        """
        key = f"{what}-{secrets.token_hex(8)}"
        try:
            return await self._store.put(_owner(task), key, media_type, body.chunks(), sha256, body.share.give_back)
        except TooLarge as error:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", f"the {what} has {error}") from None
        except DigestMismatch as error:
            raise digest_mismatch(str(error)) from None
        except StoreUnavailable as error:
            raise later("StoreUnavailable", str(error), 5) from None

    async def get(
        self, task: LongTask, reference: Reference, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`. Errors up to the first chunk are raised here."""
        try:
            return await begun(self._store.get(_owner(task), reference, start, end))
        except NotStored as error:
            raise Refusal(HTTPStatus.NOT_FOUND, "NotStored", str(error)) from None
        except StoreUnavailable as error:
            raise later("StoreUnavailable", str(error), 5) from None

    async def drop(self, task: LongTask, *references: Reference | None) -> None:
        """Delete unreferenced data. What cannot be deleted goes with the task, or by the bucket's lifecycle rule."""
        for reference in references:
            if reference is not None:
                with contextlib.suppress(NotStored):
                    try:
                        await self._store.delete(_owner(task), reference)
                    except StoreUnavailable as error:
                        logger.warning("left in the store: %s", error, extra={"uri": reference.uri})


def _owner(task: LongTask) -> Owner:
    return Owner(task.metadata.name, task.metadata.uid)
