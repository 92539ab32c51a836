"""Serving by several workers: the parent's signals and its admin listener."""

import asyncio
import logging
import signal
import socket
from pathlib import Path

from starlette.types import ASGIApp

from proxy.admin.lock import lock_of
from proxy.admin.operators import Operators
from proxy.admin.versions import Versioned
from proxy.service.bounds import Counted
from proxy.service.descriptors import admin_connections
from proxy.service.listeners import Listener
from proxy.service.ruling import admin_rules_of
from proxy.service.several.parent import Parent
from proxy.service.several.speaker import Speaker
from proxy.service.tls import tls_of
from proxy.settings.model import Settings
from proxy.telemetry.telemetry import Telemetry

_log = logging.getLogger(__name__)


async def serve_several(
    settings: Settings, count: int, viewers: socket.socket, admin: socket.socket, path: Path | None
) -> None:
    """Serves by `count` workers until SIGTERM or SIGINT. Raises `ConfigurationError`."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parent = Parent(settings, count, viewers, path)
    loop.add_signal_handler(signal.SIGHUP, parent.roll)
    counted = Counted(parent.metrics, settings.bounds)
    lock = lock_of(settings.admin.token_file, is_open=settings.admin.open)
    speaker = Speaker(parent, counted.streams(), lock)
    app = Versioned(Operators(speaker, lock, counted.operators()))
    listener = _admin(parent, settings, admin, app, counted)
    serving = asyncio.create_task(listener.until_ended())
    starting, stopping = asyncio.create_task(parent.start()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            at = {"viewers": viewers.getsockname()[:2], "admin": admin.getsockname()[:2]}
            _log.info("serving", extra=at | {"workers": count})
            await stopping
    finally:
        starting.cancel()
        stopping.cancel()
        await parent.end()
        speaker.live.close()
        listener.end()
        await serving


def _admin(
    parent: Parent, settings: Settings, admin: socket.socket, app: ASGIApp, counted: Counted
) -> Listener:
    return Listener(
        app,
        admin,
        settings.listen.grace,
        admin_rules_of(settings, parent.via, Telemetry(parent.metrics)),
        tls_of(settings.listen.tls, is_required=False),
        counted.connections("admin", admin_connections(settings), cuts_readers=True),
    )
