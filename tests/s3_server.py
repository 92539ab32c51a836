"""A real server of the S3 API for tests: moto, over a socket."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from botocore.session import Session
from moto.server import ThreadedMotoServer

KEY_ID, SECRET = "AKIDEXAMPLE", "very-secret"
REGION = "eu-central-1"


class Store:
    """The objects of one bucket, as somebody sees and changes them who is not the proxy."""

    def __init__(self, port: int, bucket: str) -> None:
        self.port = port
        self.bucket = bucket
        self._client: Any = Session().create_client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            region_name=REGION,
        )
        self._client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    def paths(self) -> list[str]:
        """The paths of all objects."""
        found = self._client.list_objects_v2(Bucket=self.bucket)
        return [each["Key"] for each in found.get("Contents", ())]

    def read(self, path: str) -> bytes:
        """The bytes of an object."""
        return bytes(self._client.get_object(Bucket=self.bucket, Key=path)["Body"].read())

    def write(self, path: str, content: bytes) -> None:
        """Writes an object."""
        self._client.put_object(Bucket=self.bucket, Key=path, Body=content)

    def drop(self, path: str) -> None:
        """Deletes an object."""
        self._client.delete_object(Bucket=self.bucket, Key=path)


@contextmanager
def running_s3() -> Iterator[int]:
    """Runs a server. Yields its port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def settings_with(folder: Path, port: int, bucket: str, **objects: Any) -> dict[str, Any]:
    """Settings of a replica."""
    key, credentials = folder / "key", folder / "credentials"
    key.write_bytes(b"k" * 32)
    credentials.write_text(
        f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n", "utf-8"
    )
    said = {
        "url": f"s3://{bucket}/frames",
        "region": REGION,
        "endpoint": f"http://127.0.0.1:{port}",
        "credentials_file": str(credentials),
    }
    return {"access": {"key_file": str(key)}, "cache": {"objects": said | objects}}
