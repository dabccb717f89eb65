"""An event of a session, in the format of the Strands session manager (AgentCoreMemorySessionManager). Pure.

That format is strict: one event of plain text in a session, and the session manager restores none of its history; a
message of the user alone, and the next prompt is a second one in a row, which models refuse. So an event is a pair.
"""

import hashlib
import json
from datetime import UTC, datetime

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask, SessionEvent
from longtask_operator.delivery.messages import WORDS, Pair, template_name

KEY_UID, KEY_EVENT = "longtaskUid", "longtaskEvent"


def event(task: LongTask, name: str, pair: Pair, moment: datetime) -> SessionEvent:
    """The event as it is recorded before it is written."""
    text = payload(pair, moment)
    return SessionEvent(
        name=name,
        event_time=moment,
        payload=text,
        payload_sha256=hashlib.sha256(text.encode()).hexdigest(),
        client_token=client_token(task.metadata.uid, name, text),
    )


def payload(pair: Pair, moment: datetime) -> str:
    """CreateEvent's payload, as JSON text: a message of the user and one of the assistant.

    The text of each is JSON in itself. Escaping what is not ASCII would make blobs of long texts.
    """
    items = [
        {"conversational": {"content": {"text": _message(role, text, moment)}, "role": role.upper()}}
        for role, text in (("user", pair.user), ("assistant", pair.assistant))
    ]
    return json.dumps(items, ensure_ascii=False)


def identity(task: LongTask, name: str) -> dict[str, str]:
    """The metadata by which the event is found again."""
    return {KEY_UID: task.metadata.uid, KEY_EVENT: name}


def metadata(task: LongTask, name: str) -> dict[str, str]:
    """The event's metadata; the service takes letters, digits, spaces and ._:/=+@- in values of up to 256 characters.

    stateType and agentId are the session manager's own.
    """
    ended = task.status.completion_time
    completed = {"longtaskCompletedAt": rfc3339(ended)} if ended is not None else {}
    return {
        **identity(task, name),
        "longtaskTemplate": template_name(task),
        "longtaskStatus": WORDS.get(task.status.phase, "running"),
        **completed,
    }


def client_token(task_uid: str, name: str, text: str) -> str:
    """64 hex digits: the same for every repetition of a call, and for no other call."""
    return hashlib.sha256("\n".join((task_uid, name, text)).encode()).hexdigest()


def _message(role: str, text: str, moment: datetime) -> str:
    time = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    # message_id has to be there; without it no history is restored at all.
    message = {"message": {"role": role, "content": [{"text": text}]}, "message_id": 0, "redact_message": None}
    return json.dumps({**message, "created_at": time, "updated_at": time}, ensure_ascii=False)
