"""However large a thing is, little of it is in memory."""

import asyncio
import os
import subprocess
import sys

from tests.kube import Kube
from tests.operator.process import REPOSITORY, ROOTS
from tests.s3 import REGION, S3Server
from tests.store.streams import MIB


async def test_200_mib_go_through_a_few(kube: Kube, server: S3Server) -> None:
    arguments = [kube.namespace, "00000000", server.endpoint, server.bucket, REGION, str(200 * MIB)]
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.store.large", *arguments],
        env={**os.environ, "PYTHONPATH": ":".join(str(REPOSITORY / root) for root in (*ROOTS, "."))},
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        timeout=120,
    )
    assert int(ran.stdout) < 30 * MIB
