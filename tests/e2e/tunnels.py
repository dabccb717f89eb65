"""The way in from outside the cluster, whatever kind it is: `kubectl port-forward`."""

import asyncio
import re
import shutil
from pathlib import Path
from typing import IO

from tests.mcp.world import eventually


class Tunnels:
    """Tunnels into one namespace: opened when asked for, and anew when they have broken."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self._namespace = namespace
        self._folder = folder
        self._open: dict[str, _Tunnel] = {}

    async def url(self, target: str, port: int) -> str:
        """Where `target`, such as pod/x or service/y, can be reached on this machine."""
        tunnel = self._open.get(target)
        if tunnel is None or tunnel.process.returncode is not None:
            log = self._folder / f"tunnel-{target.replace('/', '-')}-{len(list(self._folder.iterdir()))}.log"
            tunnel = self._open[target] = await _opened(self._namespace, target, port, log)
        return f"http://127.0.0.1:{tunnel.port}"

    async def cut(self, target: str) -> None:
        """Break the tunnel to a target, with every connection in it, as a network that fails does."""
        process = self._open[target].process
        process.kill()
        await process.wait()

    async def close(self) -> None:
        """End them all."""
        for tunnel in self._open.values():
            if tunnel.process.returncode is None:
                tunnel.process.terminate()
            await tunnel.process.wait()


class _Tunnel:
    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port


async def _opened(namespace: str, target: str, port: int, log: Path) -> _Tunnel:
    with log.open("wb") as output:
        process = await _port_forward(namespace, target, port, output)

    async def forwarding() -> int:
        text = _read(log)
        assert process.returncode is None, f"port-forward to {target} ended: {text}"
        port = re.search(r"Forwarding from 127\.0\.0\.1:(\d+)", text)
        return int(port[1]) if port else 0

    return _Tunnel(process, await eventually(forwarding, f"a tunnel to {target}"))


def _read(log: Path) -> str:
    return log.read_text()


async def _port_forward(namespace: str, target: str, port: int, output: IO[bytes]) -> asyncio.subprocess.Process:
    """Its output goes to a file: a pipe that nobody reads would fill up and stop it."""
    kubectl = shutil.which("kubectl")
    assert kubectl, 'kubectl is not on the PATH: eval "$(python3 -m tests.cluster env)"'
    where = ("-n", namespace, "--address", "127.0.0.1")
    return await asyncio.create_subprocess_exec(
        kubectl, "port-forward", *where, target, f":{port}", stdout=output, stderr=output
    )
