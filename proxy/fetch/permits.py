"""Asks the origin whether a caller may read, before the proxy gives out what another caller fetched.

    yes known ──────────────► read; near its end it is renewed in the background
    nothing held ───────────► the fetch itself asks, with the caller's own credentials
    held, or being fetched ─► a probe asks, and all requests of this caller for the study wait for it

A probe asks for the first bytes of the very frame, in the form that works at the origin, and leaves the rest
unread. Metadata would be cheaper at an origin without ranges, but they say nothing about pixels. If they
differ from the copy held, or if validator or length do, the caller gets a partition of its own.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from time import time

from proxy.access.bounds import Bound
from proxy.access.caller import PROXY, Caller
from proxy.access.proofs import Name, Proofs, Yes, is_of_caller
from proxy.cache.store import Store
from proxy.errors import (
    CallerRefused,
    InternalFault,
    OriginBusy,
    OriginChanged,
    OriginFailed,
    OriginHungUp,
    OriginMismatch,
    OriginRefused,
    OtherForm,
    ProxyError,
    ShuttingDown,
)
from proxy.fetch.fills import Fills
from proxy.fetch.patience import Pauses
from proxy.fetch.permit import Permit
from proxy.fetch.probing import is_other_version
from proxy.fetch.supplier import GatedSupplier
from proxy.fetch.tasks import Tasks
from proxy.frame.identity import IDENTIFYING
from proxy.frame.key import FrameKey
from proxy.frame.supply import OriginRequest
from proxy.telemetry.telemetry import Telemetry

MOST_FAILURES = 3
"""Probes for other frames of the study that may fail before a request for a frame fails, too."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Probe:
    """A probe under way."""

    key: FrameKey
    """The frame that it asks for."""
    said: asyncio.Future[Yes | ProxyError]
    """The origin's answer once it is in, or why there is none."""


class Permits:
    """Lets callers read what the origin lets them read."""

    def __init__(
        self,
        proofs: Proofs,
        suppliers: Mapping[str, GatedSupplier],
        store: Store,
        fills: Fills,
        telemetry: Telemetry,
        converted: Collection[str] = (),
    ) -> None:
        """`suppliers` are the origins by name, as probes ask them.

        `converted` has the names of the origins whose frames the proxy makes into HTJ2K.
        """
        self._converted = converted
        self.proofs = proofs
        self._suppliers = suppliers
        self._store = store
        self._fills = fills
        self._probed = telemetry.metrics.access_probes
        self._probes: dict[Name, _Probe] = {}
        self.tasks: Tasks[_Probe] = Tasks()

    def knows(self, caller: Caller, study: str) -> bool:
        """True if a caller may read what is held of a study, as far as is known now."""
        return not caller.identity or self.proofs.yes((caller.identity, caller.origin, study)) is not None

    def may_read_on(self, identity: bytes, key: FrameKey) -> bool:
        """True if a caller of this identity may read a frame now, and nobody is due to be asked about it."""
        if not identity:
            return True
        name = identity, key.origin, key.resource.study
        yes = self.proofs.yes(name)
        return (
            yes is not None
            and yes.partition == key.partition
            and not self.proofs.is_due(yes)
            and self.proofs.may_read_others(name, yes)
        )

    def may_read_stale(self, caller: Caller, key: FrameKey) -> bool:
        """True if a caller may read a frame that is no longer fresh, although the origin can't be asked.

        That takes a yes that counts now. Callers without an identity are all the same to the origin, unless
        each credential has a partition of its own: nothing says if the origin still lets that one read.
        """
        if time() >= caller.until:
            return False
        if not caller.identity:
            return key.partition in (b"", PROXY)
        name = caller.identity, key.origin, key.resource.study
        yes = self.proofs.yes(name)
        return yes is not None and yes.partition == key.partition and self.proofs.may_read_others(name, yes)

    def permit(self, caller: Caller, key: FrameKey) -> Permit | None:
        """The permit to read on of a caller who may read a frame now; None if nobody has to be asked."""
        if not caller.identity:
            return None
        name = caller.identity, key.origin, key.resource.study
        return Permit(self.proofs, name, partial(self._admit_again, caller, key))

    async def _admit_again(self, caller: Caller, key: FrameKey) -> None:
        again = await self.admit(caller, key, is_asked_first=True, has_begun=True)
        if again.partition != caller.partition:
            raise OriginChanged("the origin shows this caller another version", "validator")

    async def admit(
        self,
        caller: Caller,
        key: FrameKey,
        waiting: Bound | None = None,
        *,
        is_asked_first: bool = False,
        stop: int | None = IDENTIFYING,
        has_begun: bool = False,
    ) -> Caller:
        """Returns the caller as it may read a frame now. Raises `OriginError`, `CallerRefused`.

        If nothing of the frame is held, the fetch is to ask; not so if it `is_asked_first`. The frame has to
        be opened without waiting in between. While a probe is under way, a place in `waiting` is taken.
        `stop` is how far the caller reads; None is to the end. If the response `has_begun`, an error could
        only cut it, so the proxy waits while the origin is busy.
        """
        if not caller.identity:
            return caller
        if time() >= caller.until:  # a plan outlived the token; other tokens of the person still count
            raise CallerRefused("the token has expired")
        name, source = (caller.identity, key.origin, key.resource.study), key.source(self._converted)
        yes = self.proofs.yes(name)
        if yes is None:
            self.proofs.check(caller.identity, source)
            if not is_asked_first and self._is_asked_by_its_fetch(caller, key):
                return caller
            yes = await self._asked(name, caller, source, waiting, stop, has_begun)
        elif not self.proofs.may_read_others(name, yes):
            # A fetch compares nothing, so the first frame that another caller fetched is compared.
            if not self._is_asked_by_its_fetch(caller, key):
                yes = await self._asked(name, caller, source, waiting, stop, has_begun)
        elif self.proofs.is_due(yes) and name not in self._probes:
            self._renew(name, caller, replace(source, partition=yes.partition))
        return caller if caller.partition == yes.partition else replace(caller, partition=yes.partition)

    def _is_asked_by_its_fetch(self, caller: Caller, key: FrameKey) -> bool:
        """True if the frame comes only once the origin has answered to this caller's own credentials."""
        if key != key.source(self._converted):
            return False  # it may be made from what is held
        fill = self._fills.get(key)
        if fill is not None:
            return fill.claim is None and fill.askers.now.identity == caller.identity
        return self._store.get(key) is None

    async def _asked(
        self,
        name: Name,
        caller: Caller,
        key: FrameKey,
        waiting: Bound | None,
        stop: int | None,
        has_begun: bool,
    ) -> Yes:
        pauses = Pauses(self._suppliers[key.origin].stall)
        with waiting.place(caller.person) if waiting is not None else nullcontext():
            while True:
                try:
                    return await self._until_said(name, caller, key, stop)
                except OriginBusy as error:
                    if not has_begun:
                        raise
                    await pauses.wait(error)

    async def _until_said(self, name: Name, caller: Caller, key: FrameKey, stop: int | None) -> Yes:
        failures = 0
        while True:
            probe = self._probes.get(name) or self._start(name, caller, key, stop)
            said = await asyncio.shield(probe.said)
            if isinstance(said, Yes):
                return said
            failures += not isinstance(said, OriginRefused)
            # An error of one frame says little about another one.
            if probe.key == key or not _is_about_one_frame(said) or failures >= MOST_FAILURES:
                raise said.anew()

    def _renew(self, name: Name, caller: Caller, key: FrameKey) -> None:
        if self._store.get(key) is not None:  # else the fetch renews it
            with suppress(ShuttingDown):
                self._start(name, caller, key, IDENTIFYING)

    def _start(self, name: Name, caller: Caller, key: FrameKey, stop: int | None) -> _Probe:
        probe = _Probe(key, asyncio.get_running_loop().create_future())
        asked = OriginRequest(key, caller.credentials, caller.trace, None, caller.identity, caller.person)

        def over() -> None:
            if not probe.said.done():  # the task was cancelled
                self._end(name, probe).set_result(ShuttingDown("the service is ending"))

        self.tasks.start(probe, self._ask(name, asked, probe, stop), over)
        self._probes[name] = probe
        return probe

    def _end(self, name: Name, probe: _Probe) -> asyncio.Future[Yes | ProxyError]:
        """Ends a probe in one step with its answer, so that nobody waits for one that is over."""
        del self._probes[name]
        return probe.said

    async def _ask(self, name: Name, asked: OriginRequest, probe: _Probe, stop: int | None) -> None:
        """Asks, and notes what the origin says."""
        refusals = self.proofs.refusals
        try:
            is_other = await is_other_version(
                self._suppliers[asked.key.origin], self._store, self._fills, asked, stop
            )
        except OriginRefused as error:  # which the fetch has noted
            self._end(name, probe).set_result(error.anew())
        except ProxyError as error:
            self._probed.labels("failed").inc()
            self._end(name, probe).set_result(error.anew())
        except Exception:
            _log.exception("a probe ended because of a fault inside the proxy")
            self._end(name, probe).set_result(InternalFault("a fault inside the proxy"))
        else:
            self._probed.labels("other" if is_other else "yes").inc()
            partition = name[0] if is_other else asked.key.partition
            yes = self.proofs.allow(name, partition, refusals, is_compared=True)
            self._end(name, probe).set_result(yes)


def _is_about_one_frame(error: ProxyError) -> bool:
    """True if an error says nothing about the caller, nor about the origin as a whole."""
    if isinstance(error, OriginRefused):
        return not is_of_caller(error.status)
    return isinstance(error, OriginBusy | OriginFailed | OriginHungUp | OriginMismatch | OtherForm)
