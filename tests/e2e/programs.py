"""kubectl and helm, as a person would run them."""

import asyncio
import shutil
from dataclasses import dataclass

from tests.patience import PATIENCE, TO_TELL


@dataclass(frozen=True)
class Ran:
    """How a program ended; `text` is all that it printed."""

    code: int
    text: str

    def done(self) -> str:
        """The text of a program that must have succeeded."""
        assert self.code == 0, self.text
        return self.text


async def kubectl(*arguments: str, stdin: str = "") -> Ran:
    """Run kubectl."""
    return await run("kubectl", *arguments, stdin=stdin)


async def run(program: str, *arguments: str, stdin: str = "", seconds: float = TO_TELL + PATIENCE) -> Ran:
    """Run a program to its end."""
    found = shutil.which(program)
    assert found, f'{program} is not on the PATH: eval "$(python3 -m tests.cluster env)"'
    process = await asyncio.create_subprocess_exec(
        found,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        text, _ = await asyncio.wait_for(process.communicate(stdin.encode()), seconds)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ran(process.returncode, text.decode())
