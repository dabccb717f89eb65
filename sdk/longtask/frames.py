"""Whose code a frame is in, by the beginning of its file's path."""

import os
from pathlib import Path
from typing import Final

OURS: Final = os.path.join(Path(__file__).parent, "")
"""The folder of the SDK: with the separator, for `longtask_jobs` beside it is the author's."""
LIBRARY: Final = os.path.join(Path(os.__file__).parent, "")
"""That of Python's standard library."""
RUNNERS: Final = (OURS, os.path.join(LIBRARY, "asyncio", ""), os.path.join(LIBRARY, "importlib", ""), "<frozen ")
"""What calls the work."""
