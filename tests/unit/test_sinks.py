"""Where a sink may be."""

from typing import Any

import pytest
from pydantic import ValidationError

from longtask_operator.planning.notifications import EventKind
from longtask_operator.sinks import Sink

URL = "https://hooks.example.com/longtask"


def sink(**more: Any) -> Sink:
    return Sink.model_validate({"url": URL, **more})


def test_a_sink_takes_all_events_unless_it_says_which() -> None:
    assert sink().events == set(EventKind)
    assert sink(events=["failed"]).events == {EventKind.FAILED}


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"url": "http://hooks.example.com"}, "allowHTTP"),
        ({"url": "ftp://hooks.example.com"}, "URL scheme"),
        ({"url": "https://user:word@hooks.example.com"}, "no user and password"),
        ({"url": "https://hooks.example.com#part"}, "no fragment"),
        ({"url": "https://"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["ended"]}, "events"),
        ({"allowedNetworks": ["10.0.0.1/8"]}, "not a valid IPv4 or IPv6 network"),
        ({"secretRef": {"name": ""}}, "secretRef"),
        ({"retries": 3}, "retries"),
    ],
)
def test_a_sink_that_cannot_be_meant_is_refused(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        sink(**fields)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert sink().allows(address)


NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1"),
    *("169.254.169.254", "169.254.170.23", "168.63.129.16", "100.100.100.200", "192.0.0.192", "224.0.0.1"),
    *("255.255.255.255", "240.0.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fc00::1", "ff02::1", "2001:db8::1"),
    *("::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe"),
    *("2002:a9fe:a9fe::1", "2002:7f00:1::", "::127.0.0.1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("::169.254.169.254", "2001:0:4136:e378:8000:63bf:a247:28f1", "fe81::1", "fec0::1", "192.88.99.1"),
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not sink().allows(address)


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        (["10.96.0.0/12"], "10.96.0.10", True),
        (["10.96.0.0/12"], "10.112.0.1", False),
        (["10.96.0.0/12"], "::ffff:10.96.0.10", True),
        (["fd00::/8"], "fd00::1", True),
        (["fd00::/8"], "10.0.0.1", False),
        (["127.0.0.0/8"], "169.254.169.254", False),
    ],
)
def test_other_networks_have_to_be_named(networks: list[str], address: str, allowed: bool) -> None:
    assert sink(allowedNetworks=networks).allows(address) == allowed
