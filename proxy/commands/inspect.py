"""The command `inspect`: describes single frames, from a file or from a server."""

import argparse
import json
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from proxy.archive.frames import frames_in
from proxy.codestream.report import FIRST, Report, ReportedResolution, report
from proxy.errors import CodestreamError, ConfigurationError, OriginRefused
from proxy.measure.picture import MeasuredPicture
from proxy.measure.server import Server
from proxy.measure.viewer import ACCEPTS
from proxy.origin.outbound import Outbound

WIDTH = 80
"""Maximum width of the output in columns."""
RPCL = "HTJ2K Lossless RPCL (.202)"
_TITLES = ("frame", "size", "bits", "order", "tiles", "ends by", "bytes", "64 KiB show", ".202")
_WIDTHS = (5, -11, -5, -5, 5, -7, 11, -15, -4)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("source", metavar="FILE|URL", help="a codestream, a DICOM file, or a frame's URL")
    parser.add_argument("--via", metavar="URL", help="HTTP proxy on the way to the origin, or environment")
    parser.add_argument("--json", action="store_true", help="print one JSON object per frame and line")
    parser.set_defaults(command=inspect)


def inspect(options: argparse.Namespace) -> int:
    """Prints a description of each frame; returns 1 if one is not a codestream or not complete."""
    is_url = options.source.startswith(("http://", "https://"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings do not matter here
        if is_url:
            frames = [uvloop.run(_fetched(options.source, options.via))]
        else:
            frames = list(frames_in(Path(options.source)))
    found: list[Report | str] = []
    for frame in frames:
        try:
            found.append(report(frame))
        except CodestreamError as error:
            found.append(str(error))
    if options.json:
        for each in found:
            print(json.dumps({"error": each} if isinstance(each, str) else plain(each)))
    else:
        print("\n".join(_lines(found)))
    return 0 if all(isinstance(each, Report) and not each.fault for each in found) else 1


async def _fetched(url: str, via: str | None) -> bytes:
    """Fetches the codestream of the frame at a URL, through an HTTP proxy if there is one on the way."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ConfigurationError(f"{url} is not the URL of a frame") from None
    base, _, path = url.rpartition("/")
    outbound = None if via is None else Outbound(via)
    async with Server(base, outbound=outbound) as server:
        for accept in ACCEPTS:
            picture = MeasuredPicture(is_progressive=False)
            async with server.ask(path, {"Accept": accept}) as response:
                if response.status_code in (400, 406, 415) and accept != ACCEPTS[-1]:
                    continue
                picture.begin(response.status_code, response.headers, None)
                async for chunk in response.aiter_raw():
                    picture.take(chunk, 0)
                picture.end(0)
            return picture.codestream()
    raise OriginRefused(406)


def plain(found: Report) -> dict[str, Any]:
    """Returns a report as a mapping for `--json`."""
    told = asdict(found)
    fault = told.pop("fault")
    return told | {"whole": not fault, "fault": fault, "conformant_202": not found.reasons}


def _lines(found: list[Report | str]) -> Iterator[str]:
    """Yields a line for each frame, then the details of the first."""
    yield _row(_TITLES)
    for number, each in enumerate(found, 1):
        yield f"{number:5} {each}" if isinstance(each, str) else _row(_cells(number, each))
    first = found[0] if found else ""
    if isinstance(first, Report):
        for text in _details(first, len(found)):
            yield textwrap.fill(text, WIDTH, subsequent_indent="  ", replace_whitespace=False)


def _cells(number: int, each: Report) -> tuple[str, ...]:
    shown = each.shown_by(FIRST)
    return (
        str(number),
        f"{each.width}x{each.height}",
        str(each.bit_depth) + (f"x{each.components}" if each.components > 1 else ""),
        each.progression,
        str(each.tiles),
        each.method,
        f"{each.have:,}",
        f"{shown.width}x{shown.height} ({_scale(shown)})" if shown else "–",
        "no" if each.reasons else "yes",
    )


def _details(each: Report, frames: int) -> Iterator[str]:
    yield ""
    if frames > 1:
        yield "Details of the first frame:"
    parts = f"TLM with {each.tile_parts} tile-parts" if each.tile_parts else "no TLM"
    yield f"{each.decompositions} decompositions, {parts}"
    yield f"not complete: {each.fault}" if each.fault else "complete"
    yield f"{RPCL}: " + ("conformant" if not each.reasons else f"not, because {'; '.join(each.reasons)}")
    if each.reason:
        yield f"some ends are unknown: {each.reason}"
    yield "resolution          size        ends at   share"
    total = each.total or each.have
    for one in each.resolutions:
        end = "?" if one.end is None else f"{one.end:,}"
        share = "" if one.end is None else f"{one.end / total:6.1%}"
        yield f"{_scale(one):>10}  {f'{one.width}x{one.height}':>12}  {end:>13}  {share}".rstrip()


def _scale(one: ReportedResolution) -> str:
    return f"1/{1 << one.reduce}"


def _row(cells: tuple[str, ...]) -> str:
    placed = zip(cells, _WIDTHS, strict=True)
    return " ".join(f"{cell:{'<' if width < 0 else '>'}{abs(width)}}" for cell, width in placed).rstrip()
