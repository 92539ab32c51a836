"""Shared parts of the benchmarks: an origin that counts, the proxy, its rivals, and tables.

Everything runs on loopback. Each server is a process of its own and ends with the `with` that started it.
"""

import asyncio
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop
from starlette.types import Message, Receive, Scope, Send

from proxy.commands.processes import Children, address, listen
from proxy.service.listeners import Listener
from proxy.service.run import run
from proxy.settings.model import Settings
from tests.ports import free_port

FIRST = 65536
"""Bytes of a first range."""
PIECE = 256 * 1024
"""Bytes that the origin writes to its socket at once."""
SLICE = 16 * 1024
"""Bytes after which a paced origin waits."""
LABEL = b"image/jphc; transfer-syntax=1.2.840.10008.1.2.4.202"
METADATA = b"[%s]" % b",".join([b'{"00080018":{"vr":"UI","Value":["1.2.%032d"]}}' % n for n in range(5400)])
"""The metadata of any series; 400 kB."""
WIDTH = 80
"""Most columns of a table."""

Headers = list[tuple[bytes, bytes]]
Answer = tuple[int, Headers, list[bytes]]
"""Status, headers, and the body in pieces."""
Front = Callable[[str], AbstractContextManager[str]]
"""A function that runs a server in front of an origin's URL and yields the URL of the server."""


class NotInstalled(Exception):
    """A program is missing. The message says how to install it."""


def frame_path(study: str, number: int, size: int) -> str:
    """Path of a frame of `size` bytes. The bytes are equal in every study."""
    return f"studies/{study}/series/1/instances/1.{number}.{size}/frames/1"


@lru_cache(maxsize=256)
def frame_bytes(number: int, size: int) -> bytes:
    return b"\xff\x4f" + random.Random(number).randbytes(size - 2)


class Counting:
    """The origin. It serves frames from memory and counts requests by study and stage."""

    def __init__(self) -> None:
        self._asked: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._answers: dict[tuple[str, bytes], Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].strip("/")
        if path.endswith("/frames/1"):
            value = next((value for name, value in scope["headers"] if name == b"range"), b"")
            stage = "whole" if not value else "first" if value.startswith(b"bytes=0-") else "rest"
            self._asked[path.split("/")[1]][stage] += 1
            status, headers, pieces = self._answer(path, value)
        else:
            # A path below asked/ returns the counts of a study. Any other one only opens a connection.
            asked = self._asked[path.removeprefix("asked/")] if path.startswith("asked/") else None
            body = b"[]" if asked is None else f"[{dict(asked)}]".replace("'", '"').encode()
            body = METADATA if path.endswith("/metadata") else body
            status, headers, pieces = 200, _headers(b"application/dicom+json", body), [body]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for place, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": place < len(pieces)})

    def _answer(self, path: str, value: bytes) -> Answer:
        key = path.split("/", 2)[2], value
        if key not in self._answers:
            self._answers[key] = _cut(path, value)
        return self._answers[key]


def _cut(path: str, value: bytes) -> Answer:
    number, size = map(int, path.split("/")[5].split(".")[1:])
    start, _, last = value.removeprefix(b"bytes=").decode().partition("-")
    begin, stop = int(start or 0), min(int(last) + 1, size) if last else size
    body = frame_bytes(number, size)[begin:stop]
    headers = [
        *_headers(LABEL, body),
        (b"etag", f'"{number}-{size}"'.encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if value:
        headers.append((b"content-range", f"bytes {begin}-{stop - 1}/{size}".encode()))
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    return 206 if value else 200, headers, pieces


def _headers(label: bytes, body: bytes) -> Headers:
    return [(b"content-type", label), (b"content-length", str(len(body)).encode())]


def run_origin(listener: socket.socket) -> None:
    uvloop.run(Listener(Counting(), listener, 1).until_ended())


class Paced(Counting):
    """An origin that limits the bytes a second of each connection."""

    def __init__(self, each: float) -> None:
        super().__init__()
        self._each = each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def paced(message: Message) -> None:
            body = message.get("body", b"")
            for at in range(0, max(1, len(body)), SLICE):
                piece = body[at : at + SLICE]
                is_more = message.get("more_body", False) or at + SLICE < len(body)
                await asyncio.sleep(len(piece) / self._each)
                await send({**message, "body": piece, "more_body": is_more} if piece else message)

        await super().__call__(scope, receive, paced)


def run_paced_origin(listener: socket.socket, each: float) -> None:
    uvloop.run(Listener(Paced(each), listener, 1).until_ended())


def start(children: Children, name: str, target: Callable[..., None], *arguments: Any) -> str:
    """Starts one of our servers on a new socket, which is the first argument of `target`. Returns its URL."""
    listener = listen()
    children.start(name, target, listener, *arguments)
    return "http://{}:{}".format(*address(listener))


@contextmanager
def proxy(origin: str) -> Iterator[str]:
    """Runs the proxy with one worker and the default settings."""
    with proxy_and_admin(origin) as (url, _):
        yield url


@contextmanager
def proxy_and_admin(origin: str) -> Iterator[tuple[str, str]]:
    """The same. Yields the URLs of both listeners."""
    settings = Settings(_env_prefix="NOTHING_", origins=[{"url": origin}], log={"level": "error"})
    with Children() as children:
        viewers, admin = listen(), listen()
        children.start("proxy", run, settings, viewers, admin)
        yield "http://{}:{}".format(*address(viewers)), "http://{}:{}".format(*address(admin))


@contextmanager
def nginx(origin: str) -> Iterator[str]:
    """Runs nginx with one worker, a cache of 64 KiB slices, one fetch per slice and kept connections."""
    program = installed("nginx", "nginx-light")
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as folder:
        port = free_port()
        config = Path(folder, "nginx.conf")
        config.write_text(_nginx_config(folder, port, urlsplit(origin).netloc))
        with running([program, "-p", folder, "-e", f"{folder}/error.log", "-c", str(config)], port) as url:
            yield url


def _nginx_config(folder: str, port: int, origin: str) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "\n  ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return f"""\
{"user root;" if os.geteuid() == 0 else ""}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
  {temporary}
  access_log off;
  sendfile on;
  keepalive_requests 100000000;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=frames:10m max_size=1g use_temp_path=off;
  upstream origin {{ server {origin}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location / {{ proxy_pass http://origin; }}
    location ~ /frames/ {{
      slice 64k;
      proxy_cache frames;
      proxy_cache_key $uri$slice_range;
      proxy_cache_valid 200 206 1h;
      proxy_cache_lock on;
      proxy_set_header Range $slice_range;
      proxy_pass http://origin;
    }}
    location ~ /metadata$ {{
      proxy_cache frames;
      proxy_cache_valid 200 1h;
      proxy_pass http://origin;
    }}
  }}
}}
"""


@contextmanager
def varnish(origin: str) -> Iterator[str]:
    """Runs Varnish as installed, in memory. It fetches whole frames and serves ranges of the bytes so far."""
    program = installed("varnishd", "varnish")
    with tempfile.TemporaryDirectory(prefix="bench-varnish-") as folder:
        port, parts = free_port(), urlsplit(origin)
        config = Path(folder, "bench.vcl")
        config.write_text(
            f'vcl 4.1;\nbackend origin {{ .host = "{parts.hostname}"; .port = "{parts.port}"; }}\n'
            'sub vcl_recv { if (req.url !~ "/frames/") { return (pass); } }\n'
            "sub vcl_backend_response { set beresp.ttl = 1h; }\n"
        )
        store = ["-s", "malloc,1g", "-n", f"{folder}/run", "-j", "none"]
        command = [program, "-F", "-a", f"127.0.0.1:{port}", "-T", "none", "-f", str(config), *store]
        with running(command, port) as url:
            yield url


RIVALS: dict[str, Front] = {"nginx slice 64k": nginx, "Varnish": varnish}


def installed(program: str, package: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotInstalled(f"not installed: apt-get install {package}")
    return path


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[str]:
    """Runs a third-party program until the end of the `with`. Yields once it listens."""
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            deadline = time.monotonic() + 240
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise RuntimeError(f"{command[0]} does not start:\n{said.read().decode()}")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as near:
        return near.connect_ex(("127.0.0.1", port)) == 0


def print_row(cells: Sequence[str], widths: Sequence[int]) -> None:
    """Prints a row at once. The first cell is aligned left, the others right, each in its width."""
    left, *right = (
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=False))
    )
    print("".join((left, *right)).rstrip()[:WIDTH], flush=True)


def versions() -> str:
    """Versions of the rivals that are installed."""
    found = []
    for program, package, flag in (("nginx", "nginx-light", "-v"), ("varnishd", "varnish", "-V")):
        try:
            said = subprocess.run([installed(program, package), flag], capture_output=True, text=True)
        except NotInstalled:
            continue
        found.append((said.stderr + said.stdout).split("\n")[0].rpartition("(" if flag == "-V" else ": ")[2])
    return ", ".join(words.split(" ")[0] for words in found) or "no rival installed"
