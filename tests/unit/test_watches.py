"""How kopf is let in."""

import kopf
import pytest

from longtask_operator.watches import credentials


def test_kopf_connects_to_the_same_address_as_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is an address: names may not be known yet when the pod starts."""
    in_a_pod = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="secret", ca_path="/ca.crt")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: in_a_pod)
    found = credentials("https://10.96.0.1:443")
    assert found is not None
    assert (found.server, found.token, found.ca_path) == ("https://10.96.0.1:443", "secret", "/ca.crt")


def test_without_credentials_kopf_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for login in ("login_with_service_account", "login_with_kubeconfig"):
        monkeypatch.setattr(kopf, login, lambda **_: None)
    assert credentials("https://10.96.0.1:443") is None
