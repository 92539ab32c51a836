"""The program of one worker, in a process of its own (`proxy.service.several.forking`).

Its first orders come with its start, and others through a channel. It ends with its parent: the channel's
other end is closed then.
"""

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress
from dataclasses import asdict

import uvloop

from proxy.errors import NotForgotten
from proxy.frame.scope import FrameScope
from proxy.service.allocator import keep_returning, return_freed_memory
from proxy.service.app import App, create_app
from proxy.service.interpreter import make_ready
from proxy.service.several.bridge import answer
from proxy.service.several.channel import Ended, Message, Posting, inherited
from proxy.service.several.handing import Handing, SharedListener
from proxy.service.several.orders import Orders
from proxy.service.several.owners import Owners
from proxy.telemetry import logs
from proxy.wire.via import Via

_log = logging.getLogger(__name__)


class Worker:
    """One worker, in its own process."""

    def __init__(self, orders: Orders, app: App) -> None:
        self._app = app
        self._orders = orders
        self._control = inherited(orders.control)
        self._to_parent = Posting(self._control)
        self._owners = Owners()
        inboxes = {number: inherited(descriptor) for number, descriptor in orders.inboxes.items()}
        moved = app.telemetry.metrics.moved_connections
        self._handing = Handing(orders.number, self._owners, inboxes, lambda how: moved.labels(how).inc())
        self._live = asyncio.Event()
        self._stop = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serves until the parent says that it is enough, or is gone."""
        loop, app, orders = asyncio.get_running_loop(), self._app, self._orders
        loop.add_signal_handler(signal.SIGTERM, self._end)
        app.tell.dropped = self._tell
        app.tell.relearned = lambda origin: self._to_parent.post({"relearn": origin})
        app.warming.is_held = True  # until the worker knows the others
        app.warming.owns = lambda study: self._owners.of(study.encode()) == orders.number
        async with app.running():
            loop.add_reader(self._control.fileno(), self._hear)
            self._to_parent.post({"ready": True})
            await self._live.wait()
            app.warming.is_held = False
            app.warming.keep_time()
            keep_returning()
            looking = asyncio.create_task(app.keep_looking(orders.path)) if orders.path else None
            if not self._stop.is_set():
                await self._listen()
            app.close_streams()  # those who follow a plan hear of its end
            if looking is not None:
                looking.cancel()
            if self._answering:
                await asyncio.wait(self._answering, timeout=app.settings.listen.grace)
        self._control.send({"metrics": True}, app.telemetry.metrics.exposition()[0])

    async def _listen(self) -> None:
        app, orders = self._app, self._orders
        viewers, grace = socket.socket(fileno=orders.viewers), app.settings.listen.grace
        taking = self._handing, app.repeats, inherited(orders.inbox)
        told = app.viewers, viewers, grace, app.rules, app.tls, app.connections
        listener = SharedListener(*taking, *told)
        _log.info("serving", extra={"pid": os.getpid(), "connections": app.connections.most})
        serving = asyncio.create_task(listener.until_ended())
        await self._stop.wait()
        listener.end()
        await serving

    def _end(self) -> None:
        self._app.readiness.end()
        self._live.set()
        self._stop.set()

    def _tell(self, named: FrameScope, is_purge: bool) -> None:
        self._to_parent.post({"drop": asdict(named), "is_purge": is_purge})

    def _hear(self) -> None:
        try:
            while (message := self._control.receive()) is not None:
                self._obey(message)
        except Ended:  # the parent is gone
            self._to_parent.close()
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._end()

    def _obey(self, message: Message) -> None:
        said = message.said
        if message.passed is not None:
            task = asyncio.create_task(answer(self._app.admin, message.passed))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif "live" in said:
            self._owners.live = said["live"]
            self._live.set()
        elif "drop" in said:
            named = FrameScope(**said["drop"])
            if said["is_purge"]:
                self._answering.add(task := asyncio.create_task(self._purge(named)))
                task.add_done_callback(self._answering.discard)
            else:
                self._app.forget(named)
        elif "relearn" in said:
            self._app.relearn(said["relearn"])
        elif "leave" in said:
            self._handing.is_leaving = True
            self._end()

    async def _purge(self, named: FrameScope) -> None:
        with suppress(NotForgotten):  # the worker that was asked says so
            await self._app.purge(named)


def work(orders: Orders) -> None:
    """Works until it is told to end."""
    settings = orders.settings
    return_freed_memory()
    logs.configure(settings.log.level, settings.log.format, orders.number)
    app = create_app(settings, via=Via(orders.via), key=orders.key)
    make_ready()

    async def serve() -> None:
        await Worker(orders, app).serve()

    uvloop.run(serve())
