"""Serving: the process's signals, sockets and event loop."""

import asyncio
import logging
import signal
import socket
from pathlib import Path

import uvloop

from proxy.service.allocator import keep_returning, return_freed_memory
from proxy.service.app import App, create_app
from proxy.service.descriptors import allow_enough_files
from proxy.service.interpreter import make_ready
from proxy.service.listeners import Listener, open_socket, serve
from proxy.service.several.share import workers_of
from proxy.settings.listening import split_address
from proxy.settings.model import Settings
from proxy.telemetry import logs

_log = logging.getLogger(__name__)


def run(
    settings: Settings,
    viewers: socket.socket | None = None,
    admin: socket.socket | None = None,
    path: Path | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, on these sockets or on those of the settings. Raises `OSError`.

    With the path of its configuration it takes changes of that into force.
    """
    return_freed_memory()
    allow_enough_files()
    logs.configure(settings.log.level, settings.log.format)
    listen = settings.listen
    viewers = viewers or open_socket(*split_address(listen.viewers))
    admin = admin or open_socket(*split_address(listen.admin))
    count = workers_of(settings)
    if count > 1:
        from proxy.service.several.parent import Parent  # a single process does without
        from proxy.service.several.serving import serve_several

        uvloop.run(serve_several(Parent(settings, count, viewers, path), viewers, admin))
        return
    app = create_app(settings, path=path)
    make_ready()
    uvloop.run(_serve(app, viewers, admin, path))


async def _serve(app: App, viewers: socket.socket, admin: socket.socket, path: Path | None) -> None:
    stop = asyncio.Event()

    def end() -> None:
        app.readiness.end()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    grace = app.settings.listen.grace
    async with app.running():
        at = {"viewers": viewers.getsockname()[:2], "admin": admin.getsockname()[:2]}
        _log.info("serving", extra=at | {"connections": app.connections.most})
        keep_returning()
        looking = asyncio.create_task(app.keep_looking(path)) if path else None
        both = (
            Listener(app.viewers, viewers, grace, app.rules, app.tls, app.connections, protocol=app.protocol),
            Listener(app.admin, admin, grace, app.admin_rules, app.admin_tls, app.admin_connections),
        )
        await serve(*both, stop, app.close_streams)  # whoever follows a plan hears of its end
        if looking is not None:
            looking.cancel()
