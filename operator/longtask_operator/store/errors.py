"""Errors of the store."""


class TooLarge(Exception):
    """The data has more bytes than the limit; none of it was stored."""


class DigestMismatch(Exception):
    """The data does not have the expected SHA-256; none of it was stored."""


class StoreUnavailable(Exception):
    """S3 or the API server failed or refused. A later retry may succeed."""


class NotStored(Exception):
    """The reference leads to nothing that is stored for this owner."""
