"""A real S3 server on this machine (versitygw over a folder), built into the cluster's cache when it is not there."""

import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config

from tests.cluster import programs
from tests.cluster.lock import exclusively
from tests.cluster.paths import BIN
from tests.ports import free_port

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

REGION = "test-region-1"


@dataclass
class S3Server:
    """A context manager: within it the server answers at `endpoint`, with one empty bucket and keys of its own.

    `host` is the address of this machine to listen on: one that pods reach where pods shall use it. A server that a
    killed test left behind is ended by `python -m tests.cluster down`, like all programs in the cache.
    """

    host: str = "127.0.0.1"
    bucket: str = "longtask-test"
    access_key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(16))

    def __enter__(self) -> Self:
        with exclusively():
            programs.build_versitygw()
        self._folder = Path(tempfile.mkdtemp(prefix="longtask-s3-"))
        self._port = free_port()
        self.client = self._new_client()
        self.start()
        self.client.create_bucket(Bucket=self.bucket)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.client.close()
        shutil.rmtree(self._folder)

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return f"http://{self.host}:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which boto3 finds the keys, and nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start it, again after a kill, with what the bucket held; returns when it answers."""
        data, metadata = self._folder / "data", self._folder / "metadata"
        data.mkdir(exist_ok=True)
        metadata.mkdir(exist_ok=True)
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                str(BIN / "versitygw"),
                f"--port={self.host}:{self._port}",
                f"--region={REGION}",
                "--health=/health",
                "--keep-alive",
                "--quiet",
                "posix",
                f"--sidecar={metadata}",  # else the file system must have extended attributes
                str(data),
            ],
            env={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + 20
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: what it holds stays."""
        self._process.kill()
        self._process.wait()

    def object_keys(self) -> list[str]:
        """Of all objects."""
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def unfinished(self) -> list[str]:
        """Keys of multipart uploads that were neither completed nor aborted."""
        return [each["Key"] for each in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]

    def _new_client(self) -> "S3Client":
        session = boto3.session.Session(self.access_key, self.secret_key, region_name=REGION)
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return session.client("s3", endpoint_url=self.endpoint, config=config)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/health", timeout=5) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
