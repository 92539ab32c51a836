"""A caller's permit to read on while one response is under way.

A caller was let in when its response began. It stays in while no refusal ends its yes, and while the yes
counts: for `ttl` seconds, and longer if other requests renew it. After that the origin is asked before
another byte goes out. So a caller who is refused elsewhere is not cut off from what it may read, and gets
nothing that it may not. With a ttl of 0 no yes is kept, and the origin is asked again only after a refusal.
"""

from collections.abc import Awaitable, Callable

from proxy.access.proofs import Name, Proofs


class Permit:
    """The permit of one response, from now on."""

    __slots__ = ("_ask", "_name", "_proofs", "_since")

    def __init__(self, proofs: Proofs, name: Name, ask: Callable[[], Awaitable[object]]) -> None:
        """`ask` asks the origin if the caller may still read. It raises the refusal."""
        self._proofs = proofs
        self._name = name
        self._ask = ask
        self._since = proofs.now()

    @property
    def stands(self) -> bool:
        """True if the caller may read on, as far as is known now."""
        return self._proofs.stands(self._name, self._since)

    async def check(self) -> None:
        """Returns if the caller may read on. Raises `OriginError`, `CallerRefused`."""
        if not self.stands:
            await self._ask()
            self._since = self._proofs.now()
