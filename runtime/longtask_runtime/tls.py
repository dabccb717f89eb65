"""The certificate that a server shows, from a Secret of type kubernetes.io/tls that is mounted as a folder."""

import asyncio
import logging
import ssl
from pathlib import Path

CHECK_SECONDS = 10.0
"""How often the folder is looked at; kubelet needs up to two minutes to renew it."""

log = logging.getLogger(__name__)


class ServerCertificate:
    """Certificate and key of a folder, `tls.crt` and `tls.key`. A new pair serves the next connections."""

    def __init__(self, folder: Path) -> None:
        """Raises ValueError if the folder has no usable pair."""
        self._folder = folder
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        """For servers; it keeps its identity when the pair changes."""
        self._seen: object = None
        self.reload()

    def reload(self) -> None:
        """Read the folder if it has changed since the last call. A pair that is not usable raises ValueError, and the
        one before it continues to be served.
        """
        try:
            # Both from one version of the folder: kubelet exchanges it as a whole, behind a symbolic link.
            certificate, key = ((self._folder / name).resolve(strict=True) for name in ("tls.crt", "tls.key"))
            seen = [(path, path.stat().st_mtime_ns) for path in (certificate, key)]
            if seen == self._seen:
                return
            self._seen = seen
            for context in (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), self.context):
                context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._folder} has no tls.crt and tls.key that belong together: {error}") from error

    async def follow(self) -> None:
        """Reload until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            before = self._seen
            try:
                self.reload()
            except ValueError as error:
                log.warning("the certificate is not renewed: %s", error)
            else:
                if self._seen != before:
                    log.info("the certificate is renewed")
