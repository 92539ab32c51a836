"""`check --origin`: tries what an origin can do with one frame, and how the proxy uses it."""

import argparse
import hashlib
import textwrap
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

import uvloop

from proxy.codestream.header import read_header
from proxy.codestream.whole import fault_of
from proxy.errors import CodestreamError, MeasureError, OriginError
from proxy.measure.find import find_subjects
from proxy.measure.picture import MAX_FRAME
from proxy.measure.server import Server
from proxy.origin.answer import strong_validator
from proxy.origin.outbound import Outbound
from proxy.origin.parts import take_apart
from proxy.origin.spellings import FORMS, Form
from proxy.wire.media import parse_media_type
from proxy.wire.ranges import parse_content_range
from proxy.wire.via import proxies_in

WIDTH = 80
"""Maximum width of the output in columns."""
FIRST = 65536
"""Bytes of the first range."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of one request for a frame."""

    status: int
    """Status of the response; 0 if there was none."""
    headers: Mapping[str, str]
    """Headers of the response."""
    body: bytes
    """Body as received."""
    codestream: bytes = b""
    """Body without its envelope."""
    kind: str = ""
    """HTJ2K, or the media type, or the reason of a failure."""

    @property
    def is_htj2k(self) -> bool:
        """True if the response contains HTJ2K."""
        return self.kind == "HTJ2K"


def probe(options: argparse.Namespace) -> int:
    """Prints the report; returns 1 if no request yields a frame."""
    outbound = None if options.via is None else Outbound(options.via)
    return uvloop.run(_probed(options.origin, dict(options.header), options.study, outbound))


async def _probed(url: str, headers: Mapping[str, str], study: str | None, outbound: Outbound | None) -> int:
    async with Server(url, headers, outbound=outbound) as server:
        subjects = await find_subjects(server, study)
        path = subjects[0].paths[0]
        print(
            f"{url}: a frame of {subjects[0].image}\n\nrequests, in the order in which the proxy tries them"
        )
        best: tuple[Form, Tried] | None = None
        for form in FORMS:
            tried = await _try(server, path, form)
            print(_line(form, tried))
            if tried.codestream and (best is None or (tried.is_htj2k and not best[1].is_htj2k)):
                best = form, tried
        if best is None:
            print("\nNo request yields the frame, so the proxy can't serve it.")
            return 1
        for text in [line async for line in _found(server, path, *best)]:
            print(textwrap.fill(text, WIDTH, subsequent_indent=" " * 13))
    return 0


async def _try(server: Server, path: str, form: Form, headers: Mapping[str, str] | None = None) -> Tried:
    """Sends one request and returns the result, even if it failed."""
    url = f"{path}?{form.query}" if form.query else path
    try:
        async with server.ask(url, {"Accept": form.accept, **(headers or {})}) as response:
            chunks, size = [], 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_FRAME:
                    raise MeasureError(f"the frame is larger than {MAX_FRAME} bytes")
            tried = Tried(response.status_code, response.headers, b"".join(chunks))
    except OriginError as error:
        return Tried(0, {}, b"", kind=str(error))
    return await _taken_out(tried) if tried.status == 200 else tried


async def _taken_out(tried: Tried) -> Tried:
    media, codestream = parse_media_type(tried.headers.get("content-type", "")), tried.body
    if media.name == "multipart/related":
        try:
            part = await take_apart(_once(tried.body), len(tried.body), len(tried.body), media)
            codestream = b"".join([chunk async for chunk in part.chunks])
            media = part.media
        except OriginError as error:
            return Tried(tried.status, tried.headers, tried.body, kind=str(error))
    try:
        header = read_header(codestream)
    except CodestreamError:
        header = None
    kind = "HTJ2K" if header is not None and header.is_htj2k else media.name or "no media type"
    return Tried(tried.status, tried.headers, tried.body, codestream, kind)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _line(form: Form, tried: Tried) -> str:
    kind = textwrap.shorten(tried.kind, 40, placeholder="…")
    status = f"{tried.status or '–'} {kind}".strip()
    return textwrap.fill(f"  {status:<14} {form}", WIDTH, subsequent_indent=" " * 19)


async def _found(server: Server, path: str, form: Form, whole: Tried) -> AsyncIterator[str]:
    """Yields what the origin can do, and what the proxy does with it."""
    yield ""
    validator = strong_validator(whole.headers)
    first = await _try(server, path, form, {"Range": f"bytes=0-{FIRST - 1}"})
    has_ranges = _is_range(first, whole.body, 0, min(FIRST, len(whole.body)))
    again = await _try(server, path, form)
    is_stable = hashlib.sha256(again.body).digest() == hashlib.sha256(whole.body).digest()
    rest = None
    if has_ranges and len(whole.body) > FIRST:
        guard = {"If-Range": validator} if validator else {}
        rest = await _try(server, path, form, {"Range": f"bytes={FIRST}-", **guard})
    fits = rest is None or _is_range(rest, whole.body, FIRST, len(whole.body))
    for each in _facts(first, whole, validator, has_ranges=has_ranges, is_stable=is_stable, fits=fits):
        yield each
    yield ""
    is_multipart = "multipart" in whole.headers.get("content-type", "")
    is_ranged = has_ranges and fits and (not is_multipart or (validator is not None and is_stable))
    for each in _conduct(form, whole, validator, is_ranged=is_ranged):
        yield each


def _is_range(tried: Tried, whole: bytes, start: int, stop: int) -> bool:
    said = parse_content_range(tried.headers.get("content-range", ""))
    is_said = said is not None and (said.start, said.stop, said.total) == (start, stop, len(whole))
    return tried.status == 206 and is_said and tried.body == whole[start:stop]


def _facts(
    first: Tried, whole: Tried, validator: str | None, *, has_ranges: bool, is_stable: bool, fits: bool
) -> Iterator[str]:
    if has_ranges:
        yield "ranges       206 with the requested bytes"
    elif first.status == 200:
        yield "ranges       none: 200 with the whole frame"
    else:
        yield f"ranges       wrong: {first.status} with other bytes or another Content-Range than requested"
    if proxies_in(whole.headers.get("via", "")):
        yield "path         through a progressive-proxy, whose own origin must not be this one"
    if not fits:
        yield "             the remainder requested with If-Range does not fit the first bytes"
    yield f"validator    {'strong, usable for If-Range' if validator else 'no strong one'}"
    yield f"body         {'the same each time' if is_stable else 'different each time'}"
    fault = fault_of(whole.codestream) if whole.is_htj2k else ""
    yield f"frame        {len(whole.codestream):,} bytes, {whole.kind}" + (f"; {fault}" if fault else "")


def _conduct(form: Form, whole: Tried, validator: str | None, *, is_ranged: bool) -> Iterator[str]:
    yield f"The proxy    requests {form}"
    if is_ranged:
        guard = "If-Range" if validator else "length and the codestream's markers"
        yield f"             first 64 KiB, then the remainder, guarded by {guard}"
    else:
        yield "             one request per frame, passed on as it arrives"
    if not whole.is_htj2k:
        yield "It can't     show the frame early: the frame is not HTJ2K and is passed on unchanged"
    elif not is_ranged:
        yield "It can't     fetch only the first bytes, so plans fetch whole frames"
