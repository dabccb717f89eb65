"""A server's certificate is renewed while it serves."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from longtask_runtime import tls
from longtask_runtime.serving import serve
from longtask_runtime.tls import ServerCertificate
from tests.mcp import certificates
from tests.mcp.world import eventually
from tests.ports import free_port


def version(folder: Path, number: int) -> str:
    """A new pair, as kubelet puts it there: in a folder of its own, behind a link that is exchanged."""
    authority = certificates.write(folder / f"..version-{number}", f"version {number}")
    (folder / "..next").symlink_to(f"..version-{number}")
    (folder / "..next").rename(folder / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    return authority


@pytest.fixture
async def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(tls, "CHECK_SECONDS", 0.01)
    version(tmp_path, 0)
    certificate, port = ServerCertificate(tmp_path), free_port()
    tasks = [
        asyncio.create_task(certificate.follow()),
        asyncio.create_task(serve(PlainTextResponse("ok"), port, "127.0.0.1", 1, tls=certificate.context)),
    ]
    yield f"https://127.0.0.1:{port}"
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def trusted(url: str, authority: str) -> bool:
    """Whether a new connection shows a certificate of this authority."""
    context = ssl.create_default_context(cadata=authority)
    async with httpx2.AsyncClient(verify=context, trust_env=False) as client:
        try:
            return (await client.get(url)).text == "ok"
        except httpx2.ConnectError:
            return False


async def test_a_new_pair_serves_the_next_connections(url: str, tmp_path: Path) -> None:
    for number in range(1, 4):
        authority = version(tmp_path, number)
        await eventually(partial(trusted, url, authority), "the new certificate")


async def test_a_pair_that_does_not_belong_together_changes_nothing(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = version(tmp_path, 1)
    await eventually(partial(trusted, url, authority), "the new certificate")
    stray = tmp_path / "stray"
    certificates.write(stray)
    (tmp_path / "..version-1" / "tls.crt").write_bytes((stray / "tls.crt").read_bytes())

    async def warned() -> bool:
        return "the certificate is not renewed" in caplog.text

    await eventually(warned, "a warning")
    assert await trusted(url, authority)
    renewed = version(tmp_path, 2)
    await eventually(partial(trusted, url, renewed), "the new certificate")
    assert caplog.text.count("the certificate is not renewed") == 1


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_folder_without_a_pair_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        certificates.write(tmp_path)
        (tmp_path / "tls.crt").write_bytes(content)
    with pytest.raises(ValueError, match=r"has no tls\.crt and tls\.key that belong together"):
        ServerCertificate(tmp_path)


async def test_a_client_that_speaks_no_tls_gets_nothing(url: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx2.TransportError):
            await client.get(url.replace("https", "http"))
