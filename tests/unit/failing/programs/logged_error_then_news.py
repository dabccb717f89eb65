import logging
import sys

logging.basicConfig(level=logging.INFO)
logging.error("the quota of 5 rows is used up")
logging.info("3 rows are in /data/out.csv")
sys.exit(1)
