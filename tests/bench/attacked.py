"""The origin behind the attacks: it drips, sends bombs, promises frames, and knows which tokens are good."""

import asyncio
import gzip
import json
import socket
from functools import lru_cache

import uvloop
from starlette.types import Receive, Scope, Send

from proxy.service.listeners import Listener
from tests.bench.shared import Counting

GOOD = b"Bearer good"
"""Tokens that begin so may read everything."""
DRIP, BOMB, LARGE, MANY = "drip", "bomb", "large", "many"
"""Studies: each byte of a frame takes a second; metadata that are nested gzip; large ones; many frames."""
INSTANCES = 60_000
"""Instances of the large metadata."""
PROMISED = 99_999
"""NumberOfFrames of the study with many."""


class Attacked(Counting):
    """The origin."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        study, is_frame = scope["path"].split("/")[2:3], scope["path"].endswith("/frames/1")
        headers = dict(scope["headers"])
        if not headers.get(b"authorization", GOOD).startswith(GOOD):
            await _send(send, 401, b"", {b"www-authenticate": b"Bearer"})
        elif study == [DRIP] and is_frame:
            await _drip(send)
        elif scope["path"].endswith("/metadata") and study != [MANY]:
            coding = {b"content-encoding": b"gzip, gzip"} if study == [BOMB] else {}
            await _send(send, 200, _bomb() if study == [BOMB] else _large(), coding)
        elif scope["path"].endswith("/metadata"):
            await _send(send, 200, json.dumps([_instance("0", PROMISED)]).encode())
        elif is_frame or not scope["path"].rpartition("/frames/")[1]:
            await super().__call__(scope, receive, send)
        else:
            await _send(send, 504, b"")


async def _drip(send: Send) -> None:
    headers = [(b"content-type", b"image/jphc"), (b"content-length", b"1000000"), (b"etag", b'"drip"')]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        await send({"type": "http.response.body", "body": b"\xff", "more_body": True})
        await asyncio.sleep(1)


async def _send(send: Send, status: int, body: bytes, headers: dict[bytes, bytes] | None = None) -> None:
    said = {b"content-type": b"application/dicom+json", b"content-length": str(len(body)).encode()}
    await send(
        {"type": "http.response.start", "status": status, "headers": [*(said | (headers or {})).items()]}
    )
    await send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    """A few kB, which are 500 MB."""
    return gzip.compress(gzip.compress(b"[" + b" " * 500_000_000 + b"]", 1), 9)


@lru_cache(maxsize=1)
def _large() -> bytes:
    """About 100 MB."""
    instance = json.dumps(_instance("NUMBER", 1, private=20))
    return f"[{','.join(instance.replace('NUMBER', str(number)) for number in range(INSTANCES))}]".encode()


def _instance(number: str, frames: int, private: int = 0) -> dict[str, dict[str, object]]:
    def of(vr: str, value: object) -> dict[str, object]:
        return {"vr": vr, "Value": [value]}

    text = of("LO", "as long as a private text of a vendor is")
    return {f"0009{tag:04X}": text for tag in range(16, 16 + private)} | {
        "00080018": of("UI", f"1.{number}.16384"),
        "00200013": of("IS", number),
        "00280008": of("IS", frames),
        "00280010": of("US", 512),
        "00280011": of("US", 512),
    }


def run_attacked(listener: socket.socket) -> None:
    """Serves, once the large bodies are made."""
    _bomb(), _large()
    uvloop.run(Listener(Attacked(), listener, 1).until_ended())
