"""The door to Valkey, or to Redis, which speaks the same protocol: one server, Sentinel, or a cluster."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import unquote, urlsplit

from valkey.asyncio import Valkey, ValkeyCluster
from valkey.asyncio.client import PubSub
from valkey.asyncio.cluster import ClusterNode
from valkey.asyncio.sentinel import Sentinel
from valkey.exceptions import ResponseError

from proxy.cache.calls import Calls
from proxy.cache.tier import Wrong

LIMIT = 2.0
"""Seconds that a call may take at most, also in the background."""
CALLS = 64
"""Calls at once, each on a connection of its own."""
SILENT = 4.0
"""Seconds without a message after which the server has to give a sign of life, in as many seconds."""
PORTS = {"": 6379, "cluster": 6379, "sentinel": 26379}

Command = tuple[bytes | str | int, ...]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Address:
    """The place of a server.

    >>> Address.of("valkeys+sentinel://a,b:7/main/2")
    Address(kind='sentinel', hosts=(('a', 26379), ('b', 7)), service='main', number=2, path='', is_tls=True)
    """

    kind: str
    """Empty for one server, `sentinel` or `cluster`."""
    hosts: tuple[tuple[str, int], ...]
    """Hosts and ports; the Sentinels, or some nodes of a cluster."""
    service: str
    """The name of the primary that the Sentinels know."""
    number: int
    """The number of the database."""
    path: str
    """The path of a Unix socket; empty for TCP."""
    is_tls: bool
    """True for TLS."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Reads a URL. Raises `ValueError`."""
        scheme, _, rest = url.partition("://")
        if scheme == "unix":
            return cls("", (), "", 0, unquote(rest), is_tls=False)
        protocol, _, kind = scheme.partition("+")
        listed, _, path = rest.partition("/")
        service, _, number = path.partition("/") if kind == "sentinel" else ("", "", path)
        if (kind == "sentinel") != bool(service) or (kind == "cluster" and number):
            raise ValueError("Sentinel needs the name of a primary, and a cluster has no databases")
        places = [urlsplit(f"//{host}") for host in listed.split(",")]
        hosts = tuple((place.hostname or "", place.port or PORTS[kind]) for place in places)
        if kind == "" and len(hosts) > 1:
            raise ValueError("several hosts are Sentinels or a cluster")
        return cls(kind, hosts, service, int(number or 0), "", is_tls=protocol in ("valkeys", "rediss"))


@dataclass(frozen=True, slots=True)
class Login:
    """How the proxy shows who it is."""

    user: str | None = None
    """The user of an ACL; None is the default user."""
    password: str | None = None
    """The password; None for none."""
    ca_file: Path | None = None
    """Certificate authorities for TLS, in place of the system's."""
    certificate_file: Path | None = None
    """The proxy's own certificate."""
    key_file: Path | None = None
    """The key of the certificate."""

    def __repr__(self) -> str:
        return "<login>"  # it has a password

    def tls(self) -> dict[str, Any]:
        """The client's arguments for TLS."""
        files = {
            "ssl_ca_certs": self.ca_file,
            "ssl_certfile": self.certificate_file,
            "ssl_keyfile": self.key_file,
        }
        named = {name: str(path) for name, path in files.items() if path is not None}
        return {"ssl": True, "ssl_check_hostname": True, **named}


class Server:
    """A server, as the tier uses it. Each call raises what the client raises."""

    def __init__(self, address: Address, login: Login) -> None:
        limits = {"socket_timeout": LIMIT, "socket_connect_timeout": LIMIT}
        tls = login.tls() if address.is_tls else {}
        self._given: dict[str, Any] = {
            "username": login.user,
            "password": login.password,
            **limits,
            **tls,
        }
        self._address = address
        self._nodes = cycle(address.hosts)
        self._client: Any = None
        self._sentinels: list[Any] = []  # the client closes the connections to the server only
        self._around = limits | tls
        self._at_once = asyncio.Semaphore(CALLS)
        self._calls = Calls()  # the client's own timeouts end them
        self.within = self._calls.within
        """Waits for a call for some seconds."""
        self.begin = self._calls.begin
        """Begins a call that goes on if nobody waits for it."""

    async def do(self, *commands: Command) -> list[Any]:
        """The answers to commands, in one round trip to each node. A refused one is answered by its error."""
        async with self._at_once:
            pipeline = self._connected().pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await cancellable(pipeline.execute(raise_on_error=False))
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
                raise answer
        return answers

    async def read(self, *keys: bytes) -> list[bytes | None]:
        """The values of keys; None for one that is missing. They are read in this order, if on one node."""
        answers = await self.do(*(("GET", key) for key in keys))
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            if not isinstance(answer, bytes | None):
                raise Wrong("no value")
        return answers

    async def run(self, script: str, key: bytes, *given: bytes | int) -> object:
        """The answer of a script about one key."""
        async with self._at_once:
            answer: object = await cancellable(self._connected().eval(script, 1, key, *given))
            return answer

    async def listen(self, channel: bytes) -> AsyncIterator[bytes | None]:
        """Yields None once it is subscribed, and then each message. Ends by an error only."""
        client = self._one_node()
        try:
            async with client.pubsub() as heard:
                await cancellable(heard.subscribe(channel))
                async for message in _messages(heard):
                    yield message
        finally:
            if client is not self._client:
                await client.aclose()

    def _connected(self) -> Any:  # noqa: ANN401  # two classes of the client without a common base
        if self._client is None:
            self._client = self._made()
        return self._client

    def _made(self) -> Any:  # noqa: ANN401  # likewise
        at, given = self._address, self._given
        if at.kind == "cluster":
            nodes = [ClusterNode(host, port) for host, port in at.hosts]
            return ValkeyCluster(startup_nodes=nodes, cluster_error_retry_attempts=1, **given)
        if at.kind == "sentinel":
            sentinel = Sentinel(  # type: ignore[no-untyped-call]  # the client says no types here
                at.hosts, sentinel_kwargs=self._around, **given
            )
            self._sentinels = sentinel.sentinels
            return sentinel.master_for(at.service, db=at.number)
        if at.path:
            return Valkey(unix_socket_path=at.path, **given)
        return Valkey(host=at.hosts[0][0], port=at.hosts[0][1], db=at.number, **given)

    def _one_node(self) -> Any:  # noqa: ANN401  # likewise
        if self._address.kind != "cluster":
            return self._connected()
        host, port = next(self._nodes)  # each node of a cluster passes on what is published at any
        return Valkey(host=host, port=port, **self._given)

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._calls.aclose()
        for client in (self._client, *self._sentinels):
            if client is not None:
                await client.aclose()


async def _messages(heard: PubSub) -> AsyncIterator[bytes | None]:
    is_asked = False
    while True:
        message = await cancellable(heard.get_message(timeout=SILENT))
        if message is None and is_asked:
            raise TimeoutError("the server gives no sign of life")
        if message is None:
            await cancellable(heard.ping())
        elif message["type"] in ("subscribe", "message"):
            yield message["data"] if message["type"] == "message" else None
        is_asked = message is None


async def cancellable(call: Awaitable[Answer]) -> Answer:
    """Awaits a call of the client. If the client loses a cancellation, raises it.

    The client sends by `asyncio.wait_for`. Before Python 3.12, that loses a cancellation that comes at the
    moment when the sending ends. A caller that cancels a task and waits for its end would wait for ever.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        return await call
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
