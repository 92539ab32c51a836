"""A real server of Valkey's protocol for tests, as Debian's redis-server is, and ways in which it fails."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.streams import streams

STARTS_WITHIN = 240.0
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


@contextmanager
def running_valkey(
    folder: Path, *options: str, conf: Path | None = None, answers: bool = True
) -> Iterator[int]:
    """Runs a server that keeps nothing on disk. Yields its port."""
    program = shutil.which("valkey-server", path=PATH) or shutil.which("redis-server", path=PATH)
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    base = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
    listening = () if "--tls-port" in options else ("--port", str(port))
    rest = (option.replace("PORT", str(port)) for option in options)
    command = [program, *([str(conf)] if conf else base), *listening, *rest]
    log = folder / f"{port}.log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as running:
        try:
            last = time.monotonic() + STARTS_WITHIN
            while not _is_open(port):
                if running.poll() is not None or time.monotonic() > last:
                    pytest.fail(f"redis-server does not answer: {log.read_text()}")
                time.sleep(0.01)
            yield port
        finally:
            running.kill()
            running.wait(STARTS_WITHIN)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def settings_with(folder: Path, url: str, **shared: Any) -> dict[str, Any]:
    """Settings of a replica."""
    key = folder / "key"
    key.write_bytes(b"k" * 32)
    return {"access": {"key_file": str(key)}, "cache": {"shared": {"url": url, **shared}}}


@asynccontextmanager
async def relay(port: int, delay: float, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Passes on what a server says, so many seconds later, by TLS if asked to. Yields the relay's port."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        while content := await reader.read(65536):
            await asyncio.sleep(pause)
            writer.write(content)
            await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pipe(reader, ahead, 0), pipe(behind, writer, delay))
        finally:
            ahead.close()

    async with streams(serve, tls=tls) as here:
        yield here


@asynccontextmanager
async def saying(words: Callable[[bytes], bytes]) -> AsyncIterator[int]:
    """A server that answers what a script says. Yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(65536):
            writer.write(words(content))
            await writer.drain()

    async with streams(serve) as here:
        yield here
