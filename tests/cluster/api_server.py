"""Asking the local cluster's API server whether it is ready."""

import ssl
import urllib.error
import urllib.request

from tests.cluster import addresses
from tests.cluster.paths import RUN


def ready() -> bool:
    """Whether the API server says that it is ready; it answers this to anybody."""
    try:
        context = ssl.create_default_context(cafile=str(RUN / "pki" / "authority.crt"))
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with direct.open(f"{addresses.API_SERVER}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
