"""Serving by several workers: the parent's signals and its admin listener."""

import asyncio
import logging
import signal
import socket

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


async def serve_several(parent: Parent, viewers: socket.socket, admin: socket.socket) -> None:
    """Serves by the workers of a parent until SIGTERM or SIGINT. Raises `ConfigurationError`, `OSError`."""
    settings, loop = parent.settings, asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def end(error: OSError | None = None) -> None:
        loop.remove_reader(parent.forks)
        if stop.done():
            return
        if error is None:
            stop.set_result(None)
        else:
            stop.set_exception(error)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_reader(parent.forks, end, ConnectionError("the process that forks the workers is gone"))
    loop.add_signal_handler(signal.SIGHUP, parent.roll)
    counted = Counted(parent.metrics, settings.bounds)
    lock = lock_of(settings.admin.token_file, is_open=settings.admin.open)
    speaker = Speaker(parent, counted.streams(), lock)
    app = Versioned(Operators(speaker, lock, counted.operators()))
    listener = _admin(parent, settings, admin, app, counted)
    serving = asyncio.create_task(listener.until_ended())
    starting = asyncio.create_task(parent.start())
    try:
        await asyncio.wait((starting, stop), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            at = {"viewers": viewers.getsockname()[:2], "admin": admin.getsockname()[:2]}
            _log.info("serving", extra=at | {"workers": parent.count})
        await stop
    finally:
        starting.cancel()
        end()
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
