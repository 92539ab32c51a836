"""What an origin itself gives, without us: one plain request, and its multipart body taken apart by hand."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class Frame:
    """One frame as somebody gave it."""

    label: str
    """The Content-Type of the frame: of the part, or of a single part's answer."""
    body: bytes
    """Its bytes, without an envelope."""

    def is_as(self, other: "Frame") -> bool:
        """The same bytes under the same label, but for its spaces."""
        return self.body == other.body and self.label.replace(" ", "") == other.label.replace(" ", "")

    @property
    def is_labelled_htj2k(self) -> bool:
        """Whether a viewer that goes by the label takes it for HTJ2K."""
        return self.label.startswith("image/jphc") or "=1.2.840.10008.1.2.4.20" in self.label


CORNERSTONE = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
"""How viewers ask for whatever is stored."""


def own_frames(url: str, headers: Mapping[str, str]) -> list[Frame]:
    """As the origin likes best, and, where it knows that and it is another form, as it is stored."""
    answers = [_asked(url, headers, accept) for accept in ("*/*", CORNERSTONE)]
    frames = [frame_of(answer) for answer in answers if answer.is_success]
    assert frames
    return frames


def own_status(url: str, headers: Mapping[str, str]) -> int:
    """What the plainest of requests is answered with."""
    return _asked(url, headers, "*/*").status_code


def _asked(url: str, headers: Mapping[str, str], accept: str) -> httpx.Response:
    said = {"accept": accept, "accept-encoding": "identity", **headers}
    return httpx.get(url, headers=said, trust_env=False, timeout=240)


def frame_of(answer: httpx.Response) -> Frame:
    """The frame in an answer; of a multipart body the boundary is its first line."""
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
