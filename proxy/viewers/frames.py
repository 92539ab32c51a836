"""Answers requests for frames: chooses the profile, opens the frame, sends it, and records the outcome.

If a fetch brings another version than the bytes held, and no byte has been sent, the proxy opens the frame
once more. By then a fill is fetching the new version. It does so only for requests from byte 0. A viewer that
asks for a later range has the first bytes of the old version, and must not get the rest of the new one.
"""

from dataclasses import replace
from functools import partial

from starlette.types import Receive, Send

from proxy.alternates.offered import Alternates
from proxy.alternates.request import retrieval_of
from proxy.cache.store import Store
from proxy.errors import CodestreamError, OriginError, OriginMismatch, OriginRefused, OtherForm, ProxyError
from proxy.fetch.permits import Permits
from proxy.fetch.retrieve import AT_ONCE, Reading, Retrieval, Retrieve
from proxy.fetch.series import SeriesLists
from proxy.fetch.source import CacheOutcome, FrameSource, reduced
from proxy.plan.choice import CurrentChoice
from proxy.prefetch.plans import Plans
from proxy.telemetry.telemetry import Telemetry
from proxy.viewers.delivery import DeliveryProgress, send_frame, until_gone
from proxy.viewers.otherwise import NoRange, NotNamed, NotShared, Otherwise
from proxy.viewers.outcomes import Outcomes
from proxy.viewers.places import Place, Places
from proxy.viewers.repeats import Repeats, repeat_of
from proxy.viewers.request import FrameRequest
from proxy.viewers.response import compose
from proxy.viewers.several import send_several
from proxy.viewers.standing import StandingIn
from proxy.viewers.writes import Writes
from proxy.wire.problem import status_of
from proxy.wire.resource import FrameResource


class Frames:
    """Answers requests for frames."""

    def __init__(
        self,
        retrieve: Retrieve,
        chosen: CurrentChoice,
        lists: SeriesLists,
        plans: Plans,
        alternates: Alternates,
        permits: Permits,
        places: Places,
        telemetry: Telemetry,
        store: Store,
        *,
        pause: float,
        log_uids: bool,
    ) -> None:
        self._retrieve = retrieve
        self._chosen = chosen
        self._lists = lists
        self._plans = plans
        self._alternates = alternates
        self._permits = permits
        self._standing_in = StandingIn(retrieve, permits)
        self._places = places
        self._cut = telemetry.metrics.cut_answers.labels("viewer_left")
        self._pause = pause
        self._outcomes = Outcomes(telemetry, log_uids=log_uids)
        self.writes = Writes()
        """The bytes that all responses may still write in this turn."""
        self.repeats = Repeats(retrieve, permits, chosen, plans, self.writes, self._outcomes, store)
        """The responses that may be sent again."""

    async def answer(
        self, asked: FrameRequest, receive: Receive, send: Send, progress: DeliveryProgress
    ) -> None:
        """Sends the response. Raises `ProxyError`; `progress` shows if anything was sent by then."""
        send = self.writes.shared(send)
        try:
            if asked.profile is not None:  # before the origin is asked, held or not
                self._chosen.now.choose(asked.profile, asked.caller.origin, None)
            deliver = self._deliver_listed if asked.address.listed else self._deliver
            is_done = await deliver(asked, receive, send, progress)
        except ProxyError as error:
            if progress.has_started or not asked.may_be_otherwise(error):
                self._record(asked, progress, status_of(error), type(error).__name__)
            raise
        if not is_done:
            self._cut.inc()
        self._record(asked, progress, progress.status, "" if is_done else "viewer_left")

    def _wanted(self, asked: FrameRequest, progress: DeliveryProgress) -> Retrieval:
        caller, choice = asked.caller, self._chosen.now
        series = asked.address.key(caller).series
        facts = self._lists.facts(series, caller.credentials, caller.identity) if choice.needs_facts else None
        progress.profile = choice.choose(asked.profile, caller.origin, facts, asked.headers)
        profile = choice.profile(progress.profile)
        stop = None if asked.is_settled else asked.conditions.stop
        wanted = retrieval_of(
            asked.address,
            caller,
            self._alternates,
            first=choice.firsts[progress.profile],
            stop=stop,
            # A HEAD reads no byte, so it does not complete the frame either.
            is_completed=profile.complete == "always" and stop != 0,
            validators=profile.validators,
            is_made=bool(asked.refused),
            is_alone=asked.is_alone,
        )
        permit = self._permits.permit(caller, wanted.key)
        return wanted if permit is None else replace(wanted, permit=permit)

    async def _admitted(
        self,
        asked: FrameRequest,
        progress: DeliveryProgress,
        *,
        is_asked_first: bool = False,
        has_place: bool = False,
    ) -> FrameRequest:
        """The request of a caller who may read now. Raises `OriginError`. See `Permits.admit`.

        If the request `has_place` already, it takes no other one while the origin is asked.
        """
        caller = asked.caller
        if self._retrieve.farther is not None:
            progress.tier = await self._retrieve.bring(caller, asked.address.key(caller))
        if not caller.identity:
            return asked
        key = asked.address.key(caller)
        stop, waiting = asked.conditions.stop, None if has_place else self._places.waiting
        admit = partial(self._permits.admit, caller, key, waiting, stop=stop)
        admitted = await admit(is_asked_first=is_asked_first, has_begun=progress.has_started)
        return asked if admitted is caller else replace(asked, caller=admitted)

    async def _deliver(
        self,
        asked: FrameRequest,
        receive: Receive,
        send: Send,
        progress: DeliveryProgress,
        *,
        is_again: bool = False,
    ) -> bool:
        asked = await self._admitted(asked, progress)
        wanted = self._wanted(asked, progress)
        try:
            with Place(self._places, asked.caller.person) as place:
                is_done = await self._deliver_once(asked, wanted, place, receive, send, progress)
        except Otherwise as otherwise:
            asked = otherwise.of(asked)
        except CodestreamError as error:
            if asked.address.target is None:
                raise
            whole = replace(asked.address, target=None)
            asked = replace(asked, address=whole, not_reduced=str(error))
        except OriginMismatch:
            wanted_range = asked.conditions.range
            is_rest = wanted_range is not None and wanted_range.first != 0
            if is_again or progress.has_started or is_rest:
                raise
            is_again = True
        except (OriginRefused, OtherForm) as error:
            if progress.has_started or not self._alternates.is_made_instead(wanted, error):
                raise
            asked = replace(asked, refused=error.status)
        else:
            if is_done:
                self._alternates.learn(wanted, asked.refused)
            return is_done
        return await self._deliver(asked, receive, send, progress, is_again=is_again)

    async def _deliver_once(
        self,
        asked: FrameRequest,
        wanted: Retrieval,
        place: Place,
        receive: Receive,
        send: Send,
        progress: DeliveryProgress,
    ) -> bool:
        reading = self._retrieve.open(wanted, place.wait)
        progress.outcome, progress.stale = reading.outcome, None
        try:
            return await self._deliver_from(asked, wanted, reading, place, receive, send, progress)
        except OriginError as error:
            if progress.has_started:
                raise
            stale = await self._standing_in.find(asked.caller, wanted, reading, error)
            if stale is None:
                raise
        progress.outcome, progress.stale = CacheOutcome.STALE, stale
        reading = self._retrieve.read(wanted, stale.frame, progress.outcome)
        return await self._deliver_from(asked, wanted, reading, place, receive, send, progress)

    async def _deliver_from(
        self,
        asked: FrameRequest,
        wanted: Retrieval,
        reading: Reading,
        place: Place,
        receive: Receive,
        send: Send,
        progress: DeliveryProgress,
    ) -> bool:
        is_hit = reading.outcome is CacheOutcome.HIT
        is_at_once = is_hit and isinstance(wanted.stop, int) and wanted.stop <= AT_ONCE
        try:
            if is_hit and not wanted.is_small(reading.source.size):
                place.send()
            if not asked.address.form and self._permits.knows(asked.caller, wanted.key.resource.study):
                self._view(asked, wanted, progress)
                sending = self._send(asked, wanted, reading, send, progress)
            else:
                sending = self._send_proven(asked, wanted, reading, send, progress)
            if is_at_once:
                await sending
                return True
            return await until_gone(receive, sending)
        finally:
            reading.leave()

    def _view(self, asked: FrameRequest, wanted: Retrieval, progress: DeliveryProgress) -> None:
        is_missed = progress.outcome is CacheOutcome.MISS
        self._plans.viewed(wanted.key, asked.caller, progress.profile, is_missed=is_missed)

    async def _send_proven(
        self, asked: FrameRequest, wanted: Retrieval, reading: Reading, send: Send, progress: DeliveryProgress
    ) -> None:
        """Sends a frame whose fetch asks if the caller may read it so; until then it starts no plan."""
        await reading.source.describe()
        self._view(asked, wanted, progress)
        await self._send(asked, wanted, reading, send, progress)

    async def _deliver_listed(
        self, asked: FrameRequest, receive: Receive, send: Send, progress: DeliveryProgress
    ) -> bool:
        async def wanted(resource: FrameResource) -> Retrieval:
            return self._wanted(
                await self._admitted(asked.part(resource), progress, has_place=True), progress
            )

        # Metadata that is held tells of the list.
        asked = await self._admitted(asked, progress, is_asked_first=True)
        listed = asked.address.listed
        last = max(listed, key=lambda each: each.frame_number)
        is_there = self._lists.has(asked.part(last).address.key(asked.caller))
        first = self._wanted(asked.part(listed[0]), progress)
        try:
            with self._places.waiting.place(asked.caller.person):
                sending = send_several(
                    listed, wanted, self._retrieve, send, progress, asked.conditions, is_last_there=is_there
                )
                is_done = await until_gone(receive, sending)
        except (OriginRefused, OtherForm) as error:
            if progress.has_started or not self._alternates.is_made_instead(first, error):
                raise
            asked = replace(asked, refused=error.status)
            return await self._deliver_listed(asked, receive, send, progress)
        if is_done:
            self._alternates.learn(first, asked.refused)
        return is_done

    async def _send(
        self, asked: FrameRequest, wanted: Retrieval, reading: Reading, send: Send, progress: DeliveryProgress
    ) -> None:
        source: FrameSource = reading.source
        told = None
        if reading.outcome is CacheOutcome.COLLAPSED and not wanted.may_have(
            reading, await source.describe()
        ):
            raise NotShared
        if asked.address.target is not None:
            told, source = await reduced(source, asked.address.target)
        identity = await (source.settle() if asked.is_settled else source.describe())
        may_be_named = not (identity.is_vouched or asked.is_settled)
        if may_be_named and asked.conditions.needs_strong:
            raise NotNamed
        composed = compose(identity, asked.address.resource, asked.conditions)
        if may_be_named and composed.status == 416 and asked.conditions.is_guarded_rest:
            raise NotNamed
        is_range = asked.conditions.range is not None and not asked.conditions.is_head
        if is_range and told is None and composed.status == 200:
            raise NoRange
        if told is not None:  # the smaller picture does not have the last byte of the frame
            size = (b"resolution", b"%dx%d" % told.size)
            composed = replace(composed, headers=[*composed.headers, size], is_final=False)
        elif asked.not_reduced:
            why = (b"not-reduced", asked.not_reduced.encode("ascii", "replace"))
            composed = replace(composed, headers=[*composed.headers, why])
        repeat = None
        if not (asked.is_settled or asked.not_reduced or asked.address.target):
            choice = self._chosen.now
            repeat = repeat_of(wanted, reading, asked.caller, choice, progress.profile, composed)
        with source.sending(composed.span.start, composed.stop):
            await send_frame(send, composed, source, progress, self._pause, repeat)

    def _record(self, asked: FrameRequest, progress: DeliveryProgress, status: int, why: str) -> None:
        caller = asked.caller
        self._outcomes.note(caller.origin, asked.address.resource, caller.trace, progress, status, why)
