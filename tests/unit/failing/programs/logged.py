import logging
import sys

logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level="INFO")
logging.getLogger("loader").error("cannot open /data/train.csv: permission denied")
logging.info("shutting down")
sys.exit(1)
