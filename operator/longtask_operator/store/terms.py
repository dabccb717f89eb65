"""What the store and its callers talk about: whose something is, and why the store cannot do its part."""

from dataclasses import dataclass


class TooLarge(Exception):
    """More bytes than may be kept; nothing of them was."""


class DigestMismatch(Exception):
    """The bytes do not have the SHA-256 that was told for them; nothing of them was kept."""


class StoreUnavailable(Exception):
    """S3 or the API server did not do its part. Trying again later may help."""


class NotStored(Exception):
    """The reference leads to nothing that is kept for this owner."""


@dataclass(frozen=True)
class Owner:
    """The LongTask that something is kept for."""

    name: str
    uid: str
