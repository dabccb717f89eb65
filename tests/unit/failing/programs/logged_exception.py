import logging
import sys

logging.basicConfig(level=logging.INFO)
try:
    open("/no/such/file")
except OSError:
    logging.exception("cannot read the table")
logging.info("3 rows were written before")
logging.info("bye")
sys.exit(1)
