"""Python runs this first in a process that has this folder on its path: its clock is then three hours ahead."""

import time

_true = time.time

AHEAD = 3 * 3600

time.time = lambda: _true() + AHEAD
