"""Messages between replicas: frames to forget, and callers whose yes has ended.

Messages go through a channel of the server, sealed and numbered. A replica that misses a number can't know
what it missed. Then it doubts all that it holds: it asks the origin about each frame and each caller again.
The same happens if the server has lost the number, and after the replica had no connection while others told
something.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from secrets import token_hex
from typing import Any

from proxy.cache.sealed import Seal
from proxy.cache.server import Server
from proxy.cache.tier import Wrong
from proxy.frame.scope import FrameScope

AGAIN_AFTER = 1.0
"""Seconds between two tries to connect."""

_TELL = "local n = redis.call('INCR', KEYS[1]); redis.call('PUBLISH', ARGV[1], n .. ':' .. ARGV[2]); return n"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Forget:
    """Frames were dropped."""

    named: FrameScope
    """Those that were meant."""
    fence: bytes
    """The key of the fence that was changed."""
    token: bytes
    """Its new token."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The origin refused a caller whom it had let in before."""

    caller: bytes
    """Digest of the credential."""
    origin: str
    """Name of the origin."""
    study: str
    """StudyInstanceUID."""


class Channel:
    """The channel of one replica to the others."""

    def __init__(self, server: Server, seal: Seal, prefix: bytes) -> None:
        self._server = server
        self._seal = seal
        self._name = prefix + b":told"
        self._number = prefix + b":number"
        self._me = token_hex(8)
        self._last: int | None = None
        self.is_open = asyncio.Event()
        """Set while it hears."""

    async def tell(self, told: Forget | Refused) -> None:
        """Tells it to all others that hear now."""
        facts = asdict(told)
        # Others drop each form of the frame. An older release knows no forms, and would not understand one.
        facts.get("named", {}).pop("form", None)
        said = {"from": self._me, type(told).__name__: facts}
        content = json.dumps(said, default=bytes.hex).encode()
        await self._server.run(_TELL, self._number, self._name, self._seal.close(self._name, content))

    async def hear(self, on_told: Callable[[Forget | Refused], None], on_missed: Callable[[], None]) -> None:
        """Hears until it is cancelled. `on_missed` is called if something may not have been heard."""
        while True:
            try:
                await self._hear(on_told, on_missed)
            except Exception as error:
                level = logging.WARNING if self.is_open.is_set() else logging.DEBUG  # said once
                _log.log(level, "other replicas are not heard", extra={"error": repr(error)})
            self.is_open.clear()
            await asyncio.sleep(AGAIN_AFTER)

    async def _hear(self, on_told: Callable[[Forget | Refused], None], on_missed: Callable[[], None]) -> None:
        async for message in self._server.listen(self._name):
            sealed = b""
            if message is None:
                (number,) = await self._server.read(self._number)
                is_missed = not self._is_next(int(number or 0), step=0)
            else:
                said, _, sealed = message.partition(b":")
                is_missed = not self._is_next(int(said), step=1)
            if is_missed:
                _log.info("other replicas may have told something that was not heard")
                on_missed()
            self.is_open.set()
            told = self._read(sealed) if sealed else None
            if told is not None:
                on_told(told)

    def _is_next(self, number: int, step: int) -> bool:
        """True if no number is missing before this one."""
        last, self._last = self._last, number
        return last is None or number in (last, last + step)

    def _read(self, sealed: bytes) -> Forget | Refused | None:
        """A message; None if it is this replica's own. Raises `Wrong`."""
        try:
            said: dict[str, Any] = json.loads(self._seal.open(self._name, sealed))
            if said.pop("from") == self._me:
                return None
            ((kind, facts),) = said.items()
            if kind == "Refused":
                return Refused(bytes.fromhex(facts["caller"]), facts["origin"], facts["study"])
            named = facts["named"]
            partition = named["partition"]
            named["partition"] = None if partition is None else bytes.fromhex(partition)
            return Forget(FrameScope(**named), bytes.fromhex(facts["fence"]), bytes.fromhex(facts["token"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Wrong("no message of this release") from error
