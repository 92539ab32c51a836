"""An origin's own response without the proxy: one plain request, with a simple parser of multipart bodies."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Frame:
    """A frame as a server returned it."""

    label: str
    """Content-Type of the frame, from its part or from a response without parts."""
    body: bytes
    """Bytes of the frame, without an envelope."""

    def is_as(self, other: "Frame") -> bool:
        """True if the bytes are equal, and the labels are equal apart from spaces."""
        return self.body == other.body and self.label.replace(" ", "") == other.label.replace(" ", "")

    @property
    def is_labelled_htj2k(self) -> bool:
        """True if a viewer that trusts the label takes the frame for HTJ2K."""
        return self.label.startswith("image/jphc") or "=1.2.840.10008.1.2.4.20" in self.label


CORNERSTONE = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
"""The Accept header with which viewers request frames as stored."""


def own_frames(url: str, headers: Mapping[str, str]) -> list[Frame]:
    """The frame in the origin's preferred form, and as stored if that is possible and differs."""
    answers = [_asked(url, headers, accept) for accept in ("*/*", CORNERSTONE)]
    frames = [frame_of(answer) for answer in answers if answer.is_success]
    assert frames
    return frames


def own_status(url: str, headers: Mapping[str, str]) -> int:
    """The status of the simplest possible request."""
    return _asked(url, headers, "*/*").status_code


def _asked(url: str, headers: Mapping[str, str], accept: str) -> httpx.Response:
    said = {"accept": accept, "accept-encoding": "identity", **headers}
    return httpx.get(url, headers=said, trust_env=False, timeout=240)


def frame_of(answer: httpx.Response) -> Frame:
    """The frame in a response. In a multipart body, the first line gives the boundary."""
    label = answer.headers["content-type"]
    return (
        taken_apart(answer.content) if label.startswith("multipart/related") else Frame(label, answer.content)
    )


def taken_apart(body: bytes) -> Frame:
    """The first part of a multipart body."""
    delimiter, _, rest = body.partition(b"\r\n")
    header, _, rest = rest.partition(b"\r\n\r\n")
    part, end, _ = rest.partition(b"\r\n" + delimiter)
    assert delimiter.startswith(b"--")
    assert end
    fields = dict(line.lower().split(": ", 1) for line in header.decode("ascii").split("\r\n"))
    return Frame(fields["content-type"], part)
