"""Reads each frame of a study through progressive-proxy with dicomweb-client.

pip install dicomweb-client
python read_study.py http://127.0.0.1:8080 STUDY
"""

import sys
from collections.abc import Iterator

from dicomweb_client.api import DICOMwebClient

AS_STORED = (("application/octet-stream", "*"),)
"""Each frame in the transfer syntax in which the archive has it."""
FIRST = (0, 65535)
"""The first and the last byte of a first range."""


def instances(client: DICOMwebClient, study: str) -> Iterator[tuple[str, str, int]]:
    """Yields series, instance and number of frames, for each instance with pixels."""
    for series in client.search_for_series(study):
        (uid,) = series["0020000E"]["Value"]
        for instance in client.retrieve_series_metadata(study, uid):
            if "00280010" in instance:  # Rows
                frames = instance.get("00280008", {}).get("Value", [1])
                yield uid, instance["00080018"]["Value"][0], int(frames[0])


def frames(client: DICOMwebClient, study: str, series: str, instance: str, count: int) -> Iterator[bytes]:
    """Yields the frames of an instance by one request, each as soon as its bytes have come."""
    numbers = list(range(1, count + 1))
    yield from client.iter_instance_frames(study, series, instance, numbers, media_types=AS_STORED)


def first_bytes(client: DICOMwebClient, study: str, series: str, instance: str, frame: int) -> bytes:
    """The first bytes of a frame. Of an HTJ2K frame they are a smaller picture, or all of a short one."""
    url = f"{client.base_url}/studies/{study}/series/{series}/instances/{instance}/frames/{frame}"
    return next(client.iter_bulkdata(url, media_types=AS_STORED, byte_range=FIRST))


def main(root: str, study: str) -> None:
    """Prints the bytes of each frame, and of its first range."""
    client = DICOMwebClient(root.rstrip("/"))
    for series, instance, count in instances(client, study):
        for number, frame in enumerate(frames(client, study, series, instance, count), start=1):
            first = first_bytes(client, study, series, instance, number)
            sys.stdout.write(f"{instance} frame {number}: {len(first)} of {len(frame)} bytes\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
