import logging
import sys
import time

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO", stream=sys.stdout)
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("row 3 is skipped")
for row in range(4, 9):
    logging.info("row %d", row)
print("the quota of 5 rows is used up")
sys.exit(3)
