"""A webhook sink as the platform engineer configures it. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Annotated, Final, Self

from pydantic import AnyHttpUrl, Field, IPvAnyNetwork, model_validator

from longtask_api.base import ApiModel
from longtask_operator.planning.notifications import EventKind

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64: Final = IPv6Network("64:ff9b::/96")
"""Its addresses stand for the IPv4 address in their last four bytes (RFC 6052)."""
NOT_PUBLIC: Final = (
    IPv4Network("168.63.129.16/32"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("fec0::/10"),
)
"""What Python may count as public and is not: Azure's own services, the metadata of Oracle's machines, relays to 6to4
(RFC 7526), and site-local addresses (RFC 3879)."""


class SecretRef(ApiModel, extra="forbid"):
    """A Secret in the namespace of the release."""

    name: Annotated[str, Field(min_length=1, max_length=253)]


class Sink(ApiModel, extra="forbid"):
    """Where events are sent. The only hosts that are ever called are those of the sinks' URLs."""

    url: AnyHttpUrl
    secret_ref: SecretRef | None = None
    """The Secret with the signing secrets, and perhaps a certificate authority; without it nothing is signed."""
    events: Annotated[frozenset[EventKind], Field(min_length=1)] = frozenset(EventKind)
    allow_http: Annotated[bool, Field(alias="allowHTTP")] = False
    allowed_networks: tuple[IPvAnyNetwork, ...] = ()
    """Networks that are not public in which the sink's host may be."""

    @model_validator(mode="after")
    def _url_is_plain(self) -> Self:
        if self.url.scheme != "https" and not self.allow_http:
            raise ValueError("url must begin with https://; for a service of the cluster set allowHTTP")
        if self.url.username or self.url.password:
            raise ValueError("url must have no user and password: use secretRef, and verify the signature")
        if self.url.fragment:
            raise ValueError("url must have no fragment: it would not be sent")
        return self

    def allows(self, address: str) -> bool:
        """Whether a connection to this IP address may be opened: it is public, or in one of the allowed networks."""
        found = _meant(ip_address(address.partition("%")[0]))
        return is_public(found) or _is_in(found, self.allowed_networks)


def is_public(address: Address) -> bool:
    """Whether the address belongs to the internet: it is not private, shared, link-local, loopback, multicast or
    reserved, and no metadata service of a cloud.
    """
    return (
        address.is_global and not address.is_multicast and not address.is_reserved and not _is_in(address, NOT_PUBLIC)
    )


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
