"""One replica of several: it does what the others tell, tells them whose yes has ended, renews its leases."""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from proxy.access.proofs import Name, Proofs
from proxy.cache.tier import Replicated
from proxy.cache.tiers import TieredStore
from proxy.fetch.fills import Fills
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

MOST_TOLD = 1024
"""Most refusals that wait to be told."""

_log = logging.getLogger(__name__)


class Replicas:
    """The other replicas, as far as a tier reaches them; nothing if there is no such tier."""

    def __init__(
        self,
        store: TieredStore | None,
        fills: Fills,
        proofs: Proofs,
        forget: Callable[[FrameScope], None],
        doubt: Callable[[], None],
    ) -> None:
        """`forget` drops all that this process holds in a scope, and `doubt` what is held beside frames."""
        self._tier = next(
            (tier for tier in (store.tiers if store else ()) if isinstance(tier, Replicated)), None
        )
        self._store = store
        self._fills = fills
        self._proofs = proofs
        self._forget = forget
        self._doubt = doubt
        self._revoked: asyncio.Queue[Name] = asyncio.Queue(MOST_TOLD)
        self._tasks: list[asyncio.Task[None]] = []

    def forget(self, named: FrameScope) -> None:
        """Another replica has dropped a scope. One wider than a frame is a purge, or a changed study."""
        if self._store is not None and self._tier is not None:
            with self._store.told_by(self._tier):
                self._forget(named)
        if not named.frame_number:
            self._proofs.forget(named.origin, named.study, is_held=bool(named.series))

    def revoke(self, caller: bytes, origin: str, study: str) -> None:
        """The origin has refused a caller at another replica."""
        self._proofs.revoke((caller, origin, study))

    def doubt(self) -> None:
        """The origin is asked about each frame and caller again: something may not have been heard."""
        if self._store is not None:
            self._store.doubt()
        self._proofs.doubt()
        self._doubt()

    def _is_coming(self, key: FrameKey) -> bool:
        """True if a frame is being fetched, or is to be written."""
        is_written = self._store is not None and self._store.is_writing(key)
        return is_written or self._fills.get(key) is not None

    def _tell(self, name: Name) -> None:
        if self._revoked.full():
            _log.debug("a refusal is not told")
        else:
            self._revoked.put_nowait(name)

    async def _tell_all(self, tier: Replicated) -> None:
        while True:
            name = await self._revoked.get()
            try:
                await tier.revoke(*name)
            except Exception as error:
                _log.debug("a refusal could not be told", extra={"error": repr(error)})

    async def __aenter__(self) -> Self:
        if self._tier is not None:
            self._proofs.on_revoked = self._tell
            work = (self._tier.hear(self), self._tier.renew(self._is_coming), self._tell_all(self._tier))
            self._tasks = [asyncio.create_task(each) for each in work]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
