"""The line between a server and the API server, which a test can cut or hold."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Line:
    """A TCP proxy on loopback."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.drop_next_request = False

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False

    def hold(self) -> None:
        """Keep requests back; what the API server sends goes on."""
        self._flowing.clear()

    def release(self) -> None:
        """Let the requests go on."""
        self._flowing.set()

    def kubeconfig(self, direct: Path, folder: Path) -> Path:
        """Like the kubeconfig `direct`, but over this line."""
        document = yaml.safe_load(direct.read_text())
        cluster = document["clusters"][0]["cluster"]
        cluster["tls-server-name"] = urlsplit(cluster["server"]).hostname
        cluster["server"] = f"https://127.0.0.1:{self.port}"
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    async def _connect(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        if self._cut:
            near_writer.transport.abort()
            return
        far, far_writer = await asyncio.open_connection(*self._target)
        ends = {near_writer, far_writer}
        self._open |= ends
        await asyncio.gather(self._pour(near, far_writer, requests=True), self._pour(far, near_writer))
        self._open -= ends

    async def _pour(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, requests: bool = False) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if requests and self.drop_next_request:
                    self.drop_next_request = False
                    break
                if requests:
                    await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
