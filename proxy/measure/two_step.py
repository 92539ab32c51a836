"""Ways with two requests per frame: first a smaller picture, at its own URL, then the whole frame."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from proxy.codestream.header import read_header
from proxy.codestream.layout import read_layout
from proxy.errors import MeasureError
from proxy.measure.picture import check_status
from proxy.measure.server import CONNECTIONS
from proxy.measure.viewer import ACCEPTS, FRAMES, Loaded, Viewer, Way, is_hit_of, together

JLS = "/jls/"
"""Path segment of an origin's JPEG-LS frames."""
JLS_ACCEPTS = ("image/jls", 'multipart/related; type="image/jls"')
MADE = "/madeThumbnail/"
"""Path segment of the proxy's own reduced JPEG-LS."""


@dataclass(frozen=True, slots=True)
class Twice:
    """One way with two requests per frame."""

    small: str
    """Path segment of the smaller picture, in place of `/frames/`."""
    whole: str
    """Path segment of the whole frame."""
    query: str = ""
    """Query of the smaller picture."""

    @property
    def is_cut(self) -> bool:
        """True if the smaller picture consists of the frame's own bytes, which are fetched only once."""
        return self.small == "/htj2kThumbnail/"


CUT, JLS_REDUCED, JLS_MADE = "cut", "jlsReduced", "jlsReduced made"
TWICE: Mapping[str, Twice] = {
    CUT: Twice("/htj2kThumbnail/", FRAMES, "fsiz=128,128&"),
    JLS_REDUCED: Twice("/jlsThumbnail/", JLS),
    JLS_MADE: Twice(MADE, FRAMES),
}
"""Ways by name: a picture cut out of the frame, the origin's reduced JPEG-LS, and the proxy's own."""


def alternates() -> dict[str, dict[str, Any]]:
    """Returns the `alternates` that the measured proxy needs."""
    own = {path.strip("/"): {"path": path, "made": "never"} for path in (JLS, "/jlsThumbnail/")}
    return own | {"made": {"path": MADE, "made": "always", "codec": "jpegls", "scale": "1/16 area"}}


async def load_twice(viewer: Viewer, paths: tuple[str, ...], way: str, nonce: str) -> Loaded:
    """Loads a smaller picture of each frame, then each frame whole. Raises `OriginError`."""
    asked, pictures, hits = TWICE[way], dict[int, tuple[float, bytes]](), list[bool | None]()
    accept = {"Accept": ACCEPTS[0] if asked.is_cut else JLS_ACCEPTS[0]}
    waiting = iter(enumerate(paths))

    async def load_in_turn() -> None:
        for index, path in waiting:
            url = path.replace(FRAMES, asked.small) + f"?{asked.query}_={nonce}"
            async with viewer.server.ask(url, accept) as response:
                check_status(response.status_code, (200,))
                body = b"".join([chunk async for chunk in response.aiter_raw()])
            hits.append(is_hit_of(response.headers))
            pictures[index] = time.perf_counter() - began, body

    await viewer.warm(paths)
    began = time.perf_counter()
    await together(load_in_turn() for _ in range(min(CONNECTIONS, len(paths))))
    took = time.perf_counter() - began
    loaded = await viewer.load(paths, Way.WHOLE, nonce)
    first, picture = min(pictures.values())
    seen_bytes = sum(len(body) for _, body in pictures.values())
    return replace(
        loaded,
        first=first,
        first_bytes=len(picture),
        first_codestream=_end_of(loaded.codestream, picture) if asked.is_cut else 0,
        first_size=None if asked.is_cut else jls_size(picture),
        seen=took,
        seen_bytes=seen_bytes,
        final=took + loaded.final,
        size=loaded.size + (0 if asked.is_cut else seen_bytes),
        is_hit=None if None in hits or loaded.is_hit is None else loaded.is_hit and all(hits),
    )


def _end_of(codestream: bytes, picture: bytes) -> int:
    """Returns the bytes of the frame that hold the resolution which was cut out."""
    layout, cut = read_layout(codestream), read_header(picture)
    if layout is None or cut is None or (cut.width, cut.height) not in layout.sizes:
        raise MeasureError("the cut-out picture matches none of the frame's resolutions")
    return layout.ends[layout.sizes.index((cut.width, cut.height))] or 0


def jls_size(picture: bytes) -> tuple[int, int]:
    """Reads width and height of JPEG-LS from its frame header (T.87 C.2.2). Raises `MeasureError`."""
    at = picture.find(b"\xff\xf7")
    if at < 0 or len(picture) < at + 9:
        raise MeasureError("the response for reduced JPEG-LS is not JPEG-LS")
    return int.from_bytes(picture[at + 7 : at + 9], "big"), int.from_bytes(picture[at + 5 : at + 7], "big")
