"""A viewer's connection that moves to the worker that keeps the study of its next request.

Only a connection on which nothing is under way moves: the worker has read no more than the beginning of a
request, and all earlier answers are sent. The socket goes to the other worker with the bytes that were read.
That worker goes on as if it had accepted the connection, and answers this request in any case. So two workers
that see different ones live can't play a connection to and fro.

If the other worker has no room for it, the request is answered here. A connection with TLS stays, and its
bytes are relayed (`proxy.service.several.relay`).
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from proxy.service.connections import Connections, Place
from proxy.service.exact import Exact
from proxy.service.listeners import Listener
from proxy.service.rules import Rules
from proxy.service.several.channel import Channel, Ended
from proxy.service.several.owners import Owners
from proxy.service.several.relay import Relay
from proxy.viewers.repeats import Repeats
from proxy.wire.study import study_in

AT_ONCE = 32
"""Maximum number of connections that are taken before others have their turn."""

_log = logging.getLogger(__name__)


def _uncounted(outcome: str) -> None:
    """Counts nothing."""


class Handing:
    """The part of a worker that knows the others."""

    def __init__(
        self,
        own: int,
        owners: Owners,
        inboxes: Mapping[int, Channel],
        count: Callable[[str], None] = _uncounted,
    ) -> None:
        """`own` is the number of this worker; `inboxes` take connections for each. `count` gets outcomes."""
        self.own = own
        self.owners = owners
        self.is_leaving = False
        """True if another process has taken the place of this one."""
        self._inboxes = inboxes
        self._count = count

    def send(self, number: int, descriptor: int, client: object, begun: bytes) -> bool:
        """Hands a connection over. Returns False if it stays here."""
        is_sent = self._inboxes[number].send({"client": client}, begun, descriptor)
        self._count("moved" if is_sent else "stayed")
        return is_sent


class Shared(Exact):
    """One connection of a viewer, in one of several workers."""

    __slots__ = ("_begun", "_given", "_handing", "_relay", "_stays")

    def __init__(self, handing: Handing, repeats: Repeats, rules: Rules, place: Place, *rest: Any) -> None:  # noqa: ANN401  # uvicorn's
        super().__init__(repeats, rules, place, *rest)
        self._handing = handing
        self._begun = b""
        """The head of a request as far as it has come, if it has not all come."""
        self._stays = False
        """True if the request that has begun is to be answered here."""
        self._given: tuple[Any, bytes] | None = None
        self._relay: Relay | None = None

    def take(self, client: Any, begun: bytes) -> None:  # noqa: ANN401  # an address
        """Goes on with the connection of a client that another worker had, which has read the bytes."""
        self._given = client, begun

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """The connection is idle, or another worker has read the beginning of a request."""
        super().connection_made(transport)
        if self._given is not None:
            client, begun = self._given
            self._given, self.client = None, tuple(client) if client else None
            if begun:
                self._stays = True
                self._read(begun, begun)

    def data_received(self, data: bytes) -> None:
        """Hands the connection over, or parses what came."""
        if self._relay is not None:
            self._place.idle()  # for its latest byte; nobody here knows what is under way
            return self._relay.feed(data)
        if self._begun:
            begun = self._begun + data
        elif self._is_between_requests:
            begun, self._stays = data, False
        else:
            return super().data_received(data)
        if self._is_deaf or self._stays or not self._moves(begun):
            self._read(data, begun)
        return None

    def _read(self, data: bytes, begun: bytes) -> None:
        super().data_received(data)
        is_whole = not self._is_in_head or self._is_under_way or self._is_deaf
        self._begun = b"" if is_whole else begun

    @property
    def _is_under_way(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_between_requests(self) -> bool:
        return self._is_at_start and not (self._waiting or self._is_under_way)

    def _moves(self, begun: bytes) -> bool:
        study = study_in(begun)
        owner = self._handing.owners.of(study) if study else None
        return owner not in (None, self._handing.own) and self._move(owner, begun)

    def _move(self, number: int | None, begun: bytes) -> bool:
        transport = self.transport
        if number is None or transport.is_closing():
            return False
        if transport.get_extra_info("sslcontext") is not None:
            return not self._handing.is_leaving and self._begin_relay(number, begun)
        if transport.get_write_buffer_size():  # the viewer has not read the last answer
            return False
        descriptor = transport.get_extra_info("socket").fileno()
        if not self._handing.send(number, descriptor, self.client, begun):
            return False
        transport.abort()  # closes this process's descriptor; the connection itself stays open
        return True

    def _begin_relay(self, number: int, begun: bytes) -> bool:
        near, far = socket.socketpair()
        with far:
            if not self._handing.send(number, far.fileno(), self.client, begun):
                near.close()
                return False
        self._unset_keepalive_if_required()
        self._unset_deadline()
        self._begun = b""
        self._relay = Relay(self.transport, self._place.idle)
        self._relay.begin(near)
        return True

    def pause_writing(self) -> None:
        """The viewer takes no more."""
        super().pause_writing()
        if self._relay is not None:
            self._relay.hold()

    def resume_writing(self) -> None:
        """The viewer takes more."""
        super().resume_writing()
        if self._relay is not None:
            self._relay.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """The viewer has left, or has moved."""
        super().connection_lost(exc)
        if self._relay is not None:
            self._relay.end()

    def on_response_complete(self) -> None:
        """An answer has ended; if another process takes this one's place, the connection moves there."""
        super().on_response_complete()
        if self._handing.is_leaving:
            self.shutdown()

    def shutdown(self) -> None:
        """Ends the connection; if another process takes this one's place, an idle one moves there."""
        if self._relay is not None:
            return self.transport.pause_reading()  # the other worker ends it, or the grace period does
        if self._handing.is_leaving:
            if (self._begun or self._is_between_requests) and self._move(self._handing.own, self._begun):
                return None
            if self._is_under_way and self.cycle.response_started:
                return None  # it is too late to say in the answer that the connection ends
        return super().shutdown()


class Taking:
    """Takes the connections that other workers hand over, until it is closed."""

    def __init__(
        self, inbox: Channel, protocol_of: Callable[[Place], Shared], connections: Connections
    ) -> None:
        """Starts at once."""
        self._loop = asyncio.get_running_loop()
        self._inbox = inbox
        self._protocol_of = protocol_of
        self._connections = connections
        self._connecting: set[asyncio.Task[None]] = set()
        self._loop.add_reader(inbox.fileno(), self._take)

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                message = self._inbox.receive()
            except Ended:
                return self.close()
            if message is None:
                return None
            if message.passed is None:
                _log.warning("a connection is lost, since there is no room for its file")
                continue
            client = message.said["client"]
            place = self._connections.enter(str(client[0]) if client else "")
            if place is None:
                message.passed.close()
                continue
            protocol = self._protocol_of(place)
            protocol.take(client, message.content)
            task = self._loop.create_task(self._connect(protocol, message.passed, place))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return None

    async def _connect(self, protocol: Shared, passed: socket.socket, place: Place) -> None:
        try:
            passed.setblocking(False)
            await self._loop.connect_accepted_socket(lambda: protocol, passed)
        except (OSError, asyncio.CancelledError):
            passed.close()
            place.leave()

    def close(self) -> None:
        """Takes nothing more. Messages that are on their way wait for another reader."""
        self._loop.remove_reader(self._inbox.fileno())

    async def wait_closed(self) -> None:
        """Returns once each connection that was taken has its protocol."""
        if self._connecting:
            await asyncio.wait(self._connecting)


class SharedListener(Listener):
    """A listener for viewers that also takes connections from other workers."""

    def __init__(self, handing: Handing, repeats: Repeats, inbox: Channel, *rest: Any) -> None:  # noqa: ANN401  # a Listener's
        super().__init__(*rest, protocol=partial(Shared, handing, repeats))
        self._inbox = inbox

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept and to take connections."""
        await super().startup(sockets)
        protocol_of: Any = self._protocol
        self.servers.append(Taking(self._inbox, protocol_of, self._connections))
