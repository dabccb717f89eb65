"""A token issuer on loopback: signs with keys that rotate, and can be away, slow or broken."""

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from longtask_runtime.serving import serve
from tests.ports import free_port

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
AUDIENCE = "https://longtask.example.com/mcp"


class Issuer:
    """The issuer at `url`. What is in `answers`, by path, is answered instead of its documents."""

    def __init__(self, path: str = "", scheme: str = "http") -> None:
        self.port = free_port()
        self.path = path
        self.scheme = scheme
        self.keys: dict[str | None, tuple[str, Key]] = {}
        self.answers: dict[str, Response] = {}
        self.late = asyncio.Event()
        """Cleared, it answers nothing."""
        self.late.set()
        self.asked: Counter[str] = Counter()
        self.granted_for: list[str] = []
        """The resources that tokens were asked for, and what is put after it as their aud."""
        self.after_resource = ""
        self._serving: asyncio.Task[None] | None = None
        self.rotate("first")

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{self.path}"

    def rotate(self, kid: str | None, algorithm: str = "ES256", *, keep: bool = False) -> None:
        """From now on sign with a new key; the others go, unless they are kept."""
        self.keys = {**(self.keys if keep else {}), kid: (algorithm, new_key(algorithm))}

    def token(self, headers: Mapping[str, Any] | None = None, /, **claims: Any) -> str:
        """A token that is good for an hour, signed with the newest key; a claim that is None is left out."""
        kid, (algorithm, key) = next(reversed(self.keys.items()))
        now = int(time.time())
        standard = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3600}
        kept = {name: value for name, value in {**standard, **claims}.items() if value is not None}
        named = {} if kid is None else {"kid": kid}
        return jwt.encode(kept, key, algorithm, headers={**named, **(headers or {})})

    def jwks(self) -> dict[str, Any]:
        return {"keys": [public_jwk(kid, algorithm, key) for kid, (algorithm, key) in self.keys.items()]}

    def granted(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """The answer to client credentials: a token for the resource that they ask for, with the scopes."""
        self.granted_for.append(asked["resource"])
        scopes = {"scope": asked["scope"]} if "scope" in asked else {}
        token = self.token(aud=f"{asked['resource']}{self.after_resource}", sub="machine", **scopes)
        return {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **scopes}

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._serving = asyncio.create_task(serve(self, self.port, "127.0.0.1", grace=1, tls=tls))
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Be away: nobody listens."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait([self._serving])
            self._serving = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path = request.url.path
        self.asked[path] += 1
        await self.late.wait()
        if path == f"{self.path}/token":
            asked = {name: value for name, [value] in parse_qs((await request.body()).decode()).items()}
            await JSONResponse(self.granted(asked))(scope, receive, send)
            return
        documents: dict[str, Response] = {
            f"{self.path}/.well-known/openid-configuration": JSONResponse(
                {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/keys",
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "response_types_supported": ["code"],
                }
            ),
            f"{self.path}/keys": JSONResponse(self.jwks()),
            **self.answers,
        }
        await documents.get(path, Response(status_code=404))(scope, receive, send)


@asynccontextmanager
async def issuing(path: str = "") -> AsyncIterator[Issuer]:
    """An issuer that is there, until the block ends."""
    issuer = Issuer(path)
    await issuer.start()
    try:
        yield issuer
    finally:
        issuer.late.set()
        await issuer.stop()


def new_key(algorithm: str) -> Key:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm.startswith("ES"):
        curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
        return ec.generate_private_key(curves[algorithm])
    return rsa.generate_private_key(65537, 2048)


def public_jwk(kid: str | None, algorithm: str, key: Key) -> dict[str, Any]:
    public: Any = key.public_key()
    kind = {"E": OKPAlgorithm if algorithm == "EdDSA" else ECAlgorithm}.get(algorithm[0], RSAAlgorithm)
    return {**kind.to_jwk(public, as_dict=True), "use": "sig", **({} if kid is None else {"kid": kid})}
