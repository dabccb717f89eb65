"""Why the store cannot keep or give something."""


class TooLarge(Exception):
    """More bytes than may be kept; nothing of them was."""


class DigestMismatch(Exception):
    """The bytes do not have the SHA-256 that was told for them; nothing of them was kept."""


class StoreUnavailable(Exception):
    """S3 or the API server did not do its part. Trying again later may help."""


class NotStored(Exception):
    """The reference leads to nothing that is kept for this owner."""
