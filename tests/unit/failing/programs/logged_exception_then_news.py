import logging
import sys

logging.basicConfig(level=logging.INFO)
try:
    open("/no/such/file")
except OSError:
    logging.exception("cannot read the table")
logging.info("sending the metrics")
logging.info("they are at /metrics/7")
sys.exit(1)
