"""An embedded DICOMweb origin that serves a static tree: search, metadata, frames and all other files.

It holds only the tree's manifest and its lists. A path that the manifest does not list is 404. It never waits
and limits no rate; the link does that.
"""

import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.request import parse_http_list

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.demo.conditions import is_not_modified, is_range_to_answer
from proxy.demo.search import Row, matching
from proxy.demo.serving import serve
from proxy.wire.media import JPHC, Envelope, parse_media_type, wanted_envelope

DICOM_JSON = "application/dicom+json"
"""The media type of lists and metadata (PS3.18 8.7.3.2)."""

EXPOSED = ("Content-Range", "Content-Length", "ETag")
"""Headers that pages of other origins may read."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of the tree. It does not change while it is served."""

    path: Path
    """Path of the file."""
    etag: str
    """The file's digest as a strong validator (RFC 9110 8.8.3)."""
    type: str
    """Media type of the file."""
    stat: os.stat_result
    """Length and date of the file."""

    @property
    def envelope(self) -> Envelope:
        """How the content is wrapped."""
        return Envelope.MULTIPART if self.type.startswith("multipart/") else Envelope.SINGLE

    @property
    def media(self) -> str:
        """Returns the media type of the content, without a transfer syntax."""
        media = parse_media_type(self.type)
        return media.parameters["type"] if self.envelope is Envelope.MULTIPART else media.name


def create_origin(tree: Path) -> Starlette:
    """Creates the origin as an ASGI application. Reads the tree's manifest and lists once, here."""
    manifest = json.loads((tree / "manifest.json").read_text("utf-8"))
    files = {
        name: File(tree / name, f'"{entry["digest"]}"', entry["type"], (tree / name).stat())
        for name, entry in manifest["files"].items()
        if not name.endswith(".gz")
    }
    lists = {
        name: json.loads(file.path.read_text("utf-8"))
        for name, file in files.items()
        if name.endswith("/index.json")
    }
    return Starlette(routes=[Route("/{path:path}", _Origin(files, lists).answer, methods=["GET"])])


def run(listener: socket.socket, tree: str, pages: Sequence[str] = ()) -> None:
    """Serves a tree on a listening socket until SIGTERM. `pages` are origins whose pages may read it."""
    app: ASGIApp = create_origin(Path(tree))
    if pages:
        app = CORSMiddleware(app, allow_origins=pages, allow_headers=["Range"], expose_headers=EXPOSED)
    serve(app, listener)


class _Origin:
    def __init__(self, files: Mapping[str, File], lists: Mapping[str, list[Row]]) -> None:
        self._lists = lists
        self._held: dict[str, dict[Envelope, File]] = {}
        for name, file in files.items():
            below, _, last = name.rpartition("/")
            if last != "index.json":
                path = below if last.startswith("index.") else f"{below}/{last.rpartition('.')[0]}"
                self._held.setdefault(path, {})[file.envelope] = file

    async def answer(self, request: Request) -> Response:
        """Answers every request: with a list, or with the file at the path."""
        path = request.path_params["path"].removesuffix("/")
        if f"{path}/index.json" in self._lists:
            return self._list(request, self._lists[f"{path}/index.json"])
        if path not in self._held:
            return PlainTextResponse("there is no such study, series, instance or frame\n", 404)
        return self._give(request, self._held[path])

    def _list(self, request: Request, rows: list[Row]) -> Response:
        try:
            found = matching(rows, request.query_params.multi_items())
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400)
        body = json.dumps(found, separators=(",", ":")).encode()
        etag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
        if is_not_modified(request.headers, etag, ""):
            return Response(status_code=304, headers={"etag": etag})
        return Response(body, media_type=DICOM_JSON, headers={"etag": etag})

    def _give(self, request: Request, held: Mapping[Envelope, File]) -> Response:
        some = next(iter(held.values()))
        if some.type == DICOM_JSON:
            return _answer(request, some, {})
        # The query parameter replaces the header (PS3.18 8.3.3.1).
        accept = request.query_params.get("accept", request.headers.get("accept"))
        alternate = "" if some.media == JPHC else some.media
        envelope = wanted_envelope(accept, alternate) or _unspecific_envelope(accept or "")
        if envelope and envelope not in held and "multipart/" not in (accept or "").lower():
            envelope = some.envelope  # the viewer accepts anything
        if envelope is None or envelope not in held:
            text = f"Available as {' or '.join(file.type for file in held.values())}.\n"
            return PlainTextResponse(text, 406, {"vary": "Accept"})
        return _answer(request, held[envelope], {"vary": "Accept"})


def _answer(request: Request, file: File, more: dict[str, str]) -> Response:
    headers = {"content-type": file.type, "etag": file.etag, **more}
    response = FileResponse(file.path, headers=headers, stat_result=file.stat)
    if is_not_modified(request.headers, file.etag, response.headers["last-modified"]):
        kept = ("etag", "last-modified", "vary")  # RFC 9110 15.4.5
        return Response(status_code=304, headers={k: v for k, v in response.headers.items() if k in kept})
    if not is_range_to_answer(request.method, request.headers.get("range", "")):
        del MutableHeaders(scope=request.scope)["range"]  # Starlette would answer HEAD with 206 or 400
    return response


def _unspecific_envelope(accept: str) -> Envelope | None:
    """Multipart octet-stream without a transfer syntax accepts anything, as at other origins."""
    for text in parse_http_list(accept):
        media = parse_media_type(text)
        inner = media.parameters.get("type", "").lower()
        if media.name == "multipart/related" and inner == "application/octet-stream":
            return None if "transfer-syntax" in media.parameters else Envelope.MULTIPART
    return None
