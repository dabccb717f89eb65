"""This server as a protected resource: its metadata (RFC 9728), and what refused callers are told (RFC 6750)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from longtask_api import constants
from longtask_mcp.contract.operations import Operation
from longtask_mcp.oauth.issuer import Issuer

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


@dataclass(frozen=True)
class ProtectedResource:
    """The resource at a public URL, for tokens of these issuers."""

    url: str
    issuers: tuple[Issuer, ...]

    @property
    def metadata_url(self) -> str:
        """Where clients find the metadata (RFC 9728, section 3.1)."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"

    def documents(self, path: str) -> dict[str, bytes]:
        """The metadata by the paths that it is served at; `path` is where this server has the resource itself, which a
        proxy may have at another place. Clients that find no path of their own look at the root.
        """
        scopes = {scope for issuer in self.issuers for each in Operation for scope in issuer.scopes.of(each)}
        metadata = {
            "resource": self.url,
            "resource_name": "LongTask",
            "authorization_servers": [issuer.issuer for issuer in self.issuers],
            "bearer_methods_supported": ["header"],
            **({"scopes_supported": sorted(scopes)} if scopes else {}),
        }
        paths = {WELL_KNOWN, WELL_KNOWN + path, urlsplit(self.metadata_url).path}
        return dict.fromkeys(paths, json.dumps(metadata).encode())


def challenge(
    error: str | None, text: str, resource: ProtectedResource | None, scopes: Iterable[str] = ()
) -> Mapping[str, str]:
    """The WWW-Authenticate header (RFC 6750, section 3). Only one that names its metadata invites to log in."""
    parameters = {"realm": constants.GROUP}
    if error is not None:
        description = (char if char.isascii() and char.isprintable() and char not in '"\\' else " " for char in text)
        parameters |= {"error": error, "error_description": "".join(description)}
    if scopes:
        parameters["scope"] = " ".join(scopes)
    if resource is not None:
        parameters["resource_metadata"] = resource.metadata_url
    return {"WWW-Authenticate": "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())}
