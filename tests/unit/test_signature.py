"""The headers of Standard Webhooks."""

import base64

import pytest

from longtask_operator.notification.signature import InvalidSecret, headers, secrets_in

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = f"whsec_{base64.b64encode(bytes(range(64))).decode()}"
ID, TIME, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'


def test_the_signature_is_that_of_the_reference_libraries() -> None:
    """The vector that the libraries of the specification share."""
    assert headers(ID, TIME, BODY, secrets_in(SECRET)) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_each_of_several_secrets_signs() -> None:
    one, both = (
        headers(ID, TIME, BODY, secrets_in(text))["webhook-signature"] for text in (OTHER, f"{SECRET}\n{OTHER}")
    )
    assert both == f"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= {one}"


def test_without_secrets_nothing_is_signed() -> None:
    assert headers(ID, TIME, BODY, []) == {"webhook-id": ID, "webhook-timestamp": "1614265330"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        SECRET.removeprefix("whsec_"),
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        SECRET + "!",
        SECRET.replace("M", "é"),
        f"{SECRET} plain",
        " ".join([SECRET] * 5),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidSecret) as refused:
        secrets_in(text)
    assert not any(word in str(refused.value) for word in text.split() if len(word) > 6)


@pytest.mark.parametrize("text", [SECRET, f"  {SECRET}\r\n", OTHER, OTHER.rstrip("=")])
def test_a_secret_may_have_white_space_around_it_and_no_padding(text: str) -> None:
    assert len(secrets_in(text)) == 1
