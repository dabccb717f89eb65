"""What it costs a Python process to have the SDK, beside one that imports nothing."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from bench.figures import percentiles

SDK = Path(__file__).resolve().parents[1] / "sdk"
ROUNDS = 50


async def measure() -> dict[str, Any]:
    """Milliseconds from start to end of a Python without site-packages, in turn with and without the import."""
    await _process("import longtask")  # writes the bytecode
    floor, imported = [], []
    for _ in range(ROUNDS):
        floor.append(await _process("pass"))
        imported.append(await _process("import longtask"))
    return {
        "floor_ms": percentiles(floor),
        "imported_ms": percentiles(imported),
        "import_ms": percentiles([one - other for one, other in zip(imported, floor, strict=True)]),
    }


async def _process(code: str) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", code, env={"PYTHONPATH": str(SDK)})
    assert await process.wait() == 0
    return (time.perf_counter() - began) * 1000
