"""Writes a table of readings to stdout, always the same: three sensors for an hour a row, which fail now and then."""

import csv
import math
import random
import sys
from datetime import datetime, timedelta

ROWS, BEGIN = 10_000, datetime(2025, 1, 1)  # noqa: DTZ001 - the station's own clock
FAULTS = [
    ("temperature", "-999.0"),
    ("humidity", "250.0"),
    ("pressure", "0.0"),
    ("temperature", "n/a"),
    ("humidity", ""),
]


def main() -> None:
    chance = random.Random(7)
    table = csv.DictWriter(sys.stdout, ["time", "temperature", "humidity", "pressure"], lineterminator="\n")
    table.writeheader()
    for hour in range(ROWS):
        day = math.sin((hour % 24 - 9) * math.pi / 12)
        row = {
            "time": (BEGIN + timedelta(hours=hour)).isoformat(timespec="minutes"),
            "temperature": f"{12 + 6 * day + chance.gauss(0, 2):.1f}",
            "humidity": f"{min(100, 65 - 12 * day + chance.gauss(0, 4)):.1f}",
            "pressure": f"{1013 + chance.gauss(0, 5):.1f}",
        }
        if chance.random() < 0.005:
            column, reading = chance.choice(FAULTS)
            row[column] = reading
        table.writerow(row)


if __name__ == "__main__":
    main()
