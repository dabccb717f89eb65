"""Path prefixes that distinguish the stack frames of the SDK, of Python, and of the work."""

import os
from pathlib import Path
from typing import Final

OURS: Final = os.path.join(Path(__file__).parent, "")
"""The folder of the SDK, with a separator at its end: `longtask_jobs` beside it belongs to the author."""
LIBRARY: Final = os.path.join(Path(os.__file__).parent, "")
"""The folder of Python's standard library."""
RUNNERS: Final = (OURS, os.path.join(LIBRARY, "asyncio", ""), os.path.join(LIBRARY, "importlib", ""), "<frozen ")
"""The code that calls the work."""
