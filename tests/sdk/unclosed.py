"""A task that leaves files open; the processes import it as `unclosed`."""

import bz2
import ctypes
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

LINE = b"the last line"
OPEN: dict[str, Any] = {}
"""What a module holds until the end."""


def leave_open(folder: str) -> dict[str, int]:
    """Returns while files of each kind hold what is not written yet."""
    path = Path(folder)
    OPEN["text"] = gzip.open(path / "text.gz", "wt")  # noqa: SIM115
    OPEN["text"].write(LINE.decode())
    for name, kind in (("file.gz", gzip.GzipFile), ("file.bz2", bz2.BZ2File), ("file.xz", lzma.LZMAFile)):
        OPEN[name] = kind(path / name, "w")
        OPEN[name].write(LINE)
    OPEN["zip"] = zipfile.ZipFile(path / "file.zip", "w")
    OPEN["zip"].writestr("a", LINE)
    OPEN["member"] = zipfile.ZipFile(path / "unfinished.zip", "w").open("a", "w")  # noqa: SIM115
    OPEN["member"].write(LINE)
    OPEN["tar"] = tarfile.open(path / "file.tar.gz", "w:gz")  # noqa: SIM115
    member = tarfile.TarInfo("a")
    member.size = len(LINE)
    OPEN["tar"].addfile(member, io.BytesIO(LINE))
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    libc.fputs(LINE, ctypes.c_void_p(libc.fopen(bytes(path / "c.txt"), b"w")))
    return {"done": 1}
