"""The work of the task that `helm test` starts: doubles a number, and tells so through the task API."""

import json
import os
import sys

import urllib3

PROGRESS = {"current": 1, "total": 1, "unit": "number", "message": "doubled", "final": True}
# The operator answers 503 until it has seen that this pod has started, and says when to try again.
RETRIES = urllib3.Retry(30, status_forcelist=[503], allowed_methods=None, raise_on_status=False)


def main() -> None:
    number = json.loads(os.environ["LONGTASK_PARAMETERS"])["number"]
    with open("/dev/termination-log", "w") as file:
        json.dump({"answer": 2 * number}, file)
    with open(os.environ["LONGTASK_TOKEN_FILE"]) as file:
        headers = {"Authorization": f"Bearer {file.read()}"}
    url = f"{os.environ['LONGTASK_REPORT_URL']}/progress"
    answer = urllib3.request("POST", url, json=PROGRESS, headers=headers, retries=RETRIES, timeout=10)
    if answer.status != 200:
        sys.exit(f"{url} answered {answer.status}: {answer.data.decode()}")


main()
