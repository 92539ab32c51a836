"""A viewer's request for one frame, answered: who asks, how it is to be fetched, what came of it.

Where an answer turns out to be another version than the bytes held, and nothing was said yet, it is
opened once more: by then the fill that heals the frame is under way. Only from byte 0 on, though: a
viewer that asks for a rest has the old version's first bytes, and must not get the new one's rest.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from starlette.types import Receive, Send

from proxy.access import CREDENTIALS, Access
from proxy.alternates.cut import read_reduced
from proxy.cache.frame import FrameKey
from proxy.codestream.reach import Reach
from proxy.composing import Conditions, compose, conditions_of
from proxy.delivery import Progress, send_frame, send_part, until_gone
from proxy.errors import CodestreamError, NotAcceptable, OriginMismatch, OriginRefused, ProxyError
from proxy.metrics import Metrics
from proxy.origin.asked import Asked
from proxy.plan.choice import Chosen
from proxy.prefetch.plans import Plans
from proxy.problem import status_of
from proxy.retrieve import CacheDid, Opened, Retrieve, Source, Wanted, reduced
from proxy.series import SeriesKey, SeriesLists
from proxy.transcode import Alternates
from proxy.wire.media import Envelope, wanted_envelope
from proxy.wire.request import Request
from proxy.wire.resource import FrameResource, is_frame_path, parse_frames_path, split_frames_path
from proxy.wire.trace import trace_of

AHEAD = 6
"""Frames of a list that are fetched at once."""
AT_ONCE = 1024 * 1024
"""Bytes that are held and sent without listening whether the viewer is still there."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """What a viewer wants of which frame."""

    origin: str
    """Name of the origin."""
    resource: FrameResource
    """The frame."""
    query: str
    """Arguments that are the origin's business."""
    reach: Reach | None
    """Which smaller picture of it is to be cut out; None is the frame itself."""
    profile: str | None
    """Name of the profile that the request asks for."""
    conditions: Conditions
    """Envelope, range and validators."""
    request: Request
    """As it came."""
    not_reduced: str = ""
    """Why the frame itself is given where a smaller picture was asked for."""
    listed: tuple[FrameResource, ...] = ()
    """All frames of a list, of which `resource` is the first; empty where there is one alone."""
    made: Callable[[Wanted], Wanted] | None = None
    """Makes of a request for the frame one for what is made of it; None is the frame itself."""


def frame_request(request: Request, origin: str, path: str, alternates: Alternates) -> FrameRequest | None:
    """The request for a frame, a smaller picture or an alternate of it, at a path of an origin; else None.

    Raises `BadResource`.
    """
    if request.method not in ("GET", "HEAD"):
        return None
    plain, frames_path = split_frames_path(path)
    alternate = alternates.get(frames_path, request.others)
    if alternate is not None:
        path = plain
    reduced = read_reduced(path, request.others) if alternate is None else None
    if reduced is None and not is_frame_path(path):
        return None
    resource, *more = [reduced.resource] if reduced else parse_frames_path(path)
    envelope = wanted_envelope(request.accept, alternate.media if alternate else "")
    if envelope is None:
        return None  # other forms of a frame are the origin's to answer
    if more and envelope is Envelope.SINGLE:
        raise NotAcceptable("several frames are given as multipart/related alone")
    conditions = conditions_of(request, envelope)
    profile = request.profile or request.header("retrieve-profile")
    query, reach = (reduced.query, reduced.reach) if reduced else (request.others, None)
    listed = (resource, *more) if more else ()
    made = partial(alternates.wanted, offered=alternate) if alternate else None
    return FrameRequest(
        origin, resource, query, reach, profile, conditions, request, listed=listed, made=made
    )


class _NoRange(Exception):
    """If-Range names another version, so the whole is given, and more is to be opened than the range has."""


class Frames:
    """Answers requests for frames."""

    def __init__(
        self,
        retrieve: Retrieve,
        access: Access,
        chosen: Chosen,
        lists: SeriesLists,
        plans: Plans,
        alternates: Alternates,
        metrics: Metrics,
        *,
        pause: float,
        log_uids: bool,
    ) -> None:
        self._retrieve = retrieve
        self._access = access
        self._chosen = chosen
        self._lists = lists
        self._plans = plans
        self._alternates = alternates
        self._metrics = metrics
        self._pause = pause
        self._log_uids = log_uids

    async def answer(self, asked: FrameRequest, receive: Receive, send: Send, progress: Progress) -> None:
        """Sends the answer. Raises `ProxyError`; whether anything was said by then is in `progress`."""
        try:
            deliver = self._deliver_listed if asked.listed else self._deliver
            is_done = await deliver(asked, receive, send, progress)
        except ProxyError as error:
            self._tell(asked, progress, status_of(error), type(error).__name__)
            raise
        if not is_done:
            self._metrics.cut_answers.labels("viewer_left").inc()
        self._tell(asked, progress, progress.status, "" if is_done else "viewer_left")

    def _wanted(self, asked: FrameRequest, progress: Progress) -> Wanted:
        credentials = tuple((name, value) for name, value in asked.request.pairs if name in CREDENTIALS)
        partition = self._access.partition(credentials)
        resource, choice = asked.resource, self._chosen.now
        series = SeriesKey(asked.origin, partition, resource.study, resource.series)
        facts = self._lists.facts(series, credentials) if choice.needs_facts else None
        progress.profile = choice.choose(asked.profile, asked.origin, facts)
        key = FrameKey(asked.origin, partition, resource, asked.query)
        target = f"{resource.path}?{asked.query}" if asked.query else resource.path
        profile, reach = choice.profile(progress.profile), asked.reach
        origin = Asked(target, credentials, trace_of(asked.request.pairs))
        policy = profile.validators
        if reach is not None:
            return Wanted(key, origin, reach, reach, is_completed=False, validators=policy)
        stop = _stop(asked.conditions)
        # Whoever reads no byte (HEAD) completes nothing either.
        is_completed = profile.complete == "always" and stop != 0
        first = choice.firsts[progress.profile]
        wanted = Wanted(key, origin, first, stop, is_completed, policy)
        return asked.made(wanted) if asked.made else wanted

    async def _deliver(
        self, asked: FrameRequest, receive: Receive, send: Send, progress: Progress, *, is_again: bool = False
    ) -> bool:
        wanted = self._wanted(asked, progress)
        try:
            return await self._deliver_once(asked, wanted, receive, send, progress)
        except _NoRange:
            plain = replace(asked.conditions, range=None, if_range=None)
            asked = replace(asked, conditions=plain)
        except CodestreamError as error:
            if asked.reach is None:
                raise
            asked = replace(asked, reach=None, not_reduced=str(error))
        except OriginMismatch:
            wanted_range = asked.conditions.range
            is_rest = wanted_range is not None and wanted_range.first != 0
            if is_again or progress.has_started or is_rest:
                raise
            is_again = True
        except OriginRefused as error:
            if not self._alternates.is_missing(wanted, error):
                raise
        return await self._deliver(asked, receive, send, progress, is_again=is_again)

    async def _deliver_once(
        self, asked: FrameRequest, wanted: Wanted, receive: Receive, send: Send, progress: Progress
    ) -> bool:
        opened = self._retrieve.open(wanted)
        progress.did = opened.did
        try:
            is_missed = opened.did is CacheDid.MISS
            self._plans.viewed(wanted.key, wanted.asked.credentials, progress.profile, is_missed=is_missed)
            sending = self._send(asked, opened, send, progress)
            if opened.did is CacheDid.HIT and isinstance(wanted.stop, int) and wanted.stop <= AT_ONCE:
                await sending
                return True
            return await until_gone(receive, sending)
        finally:
            opened.leave()

    async def _deliver_listed(
        self, asked: FrameRequest, receive: Receive, send: Send, progress: Progress
    ) -> bool:
        return await until_gone(receive, self._send_listed(asked, send, progress))

    async def _send_listed(self, asked: FrameRequest, send: Send, progress: Progress) -> None:
        """Each frame as a part of one answer, in order, as soon as it is whole; a few are fetched ahead."""
        alone = replace(asked.conditions, range=None, if_none_match=None, if_range=None)
        opened: deque[tuple[FrameRequest, Opened]] = deque()
        listed = asked.listed[:1] if alone.is_head else asked.listed
        left = iter(listed)
        try:
            for index in range(len(listed)):
                for resource in islice(left, AHEAD - len(opened)):
                    each = replace(asked, resource=resource, conditions=alone)
                    opened.append((each, self._retrieve.open(self._wanted(each, progress))))
                each, source = opened[0][0], opened[0][1].source
                progress.did = opened[0][1].did
                identity = await source.describe()
                stop = 0 if alone.is_head else identity.claim.total
                await source.reached(stop)
                pieces = await source.take(0, stop) if stop else ()
                is_last = index + 1 == len(listed)
                await send_part(send, asked.resource, identity, pieces, progress, index, is_last=is_last)
                opened.popleft()[1].leave()
        finally:
            for _, each_opened in opened:
                each_opened.leave()

    async def _send(self, asked: FrameRequest, opened: Opened, send: Send, progress: Progress) -> None:
        source: Source = opened.source
        told = None
        if asked.reach is not None:
            told, source = await reduced(source, asked.reach)
        composed = compose(await source.describe(), asked.resource, asked.conditions)
        is_range = asked.conditions.range is not None and not asked.conditions.is_head
        if is_range and told is None and composed.status == 200:
            raise _NoRange
        if told is not None:  # nothing of it is the frame's last byte
            size = (b"resolution", b"%dx%d" % told.size)
            composed = replace(composed, headers=[*composed.headers, size], is_final=False)
        elif asked.not_reduced:
            why = (b"not-reduced", asked.not_reduced.encode("ascii", "replace"))
            composed = replace(composed, headers=[*composed.headers, why])
        await send_frame(send, composed, source, progress, self._pause)

    def _tell(self, asked: FrameRequest, progress: Progress, status: int, why: str) -> None:
        """Counts and logs what became of a request."""
        did = str(progress.did)
        self._metrics.frame_answers.labels(str(status), did).inc()
        self._metrics.served_bytes.labels(did).inc(progress.sent)
        if progress.first is not None:
            self._metrics.first_delivery.labels(progress.profile, did).observe(progress.first)
        if progress.final is not None:
            self._metrics.final_delivery.labels(progress.profile, did).observe(progress.final)
        if not _log.isEnabledFor(logging.INFO):
            return
        told: dict[str, object] = {
            "origin": asked.origin,
            "profile": progress.profile,
            "status": status,
            "cache": did,
            "bytes": progress.sent,
            "first_ms": _milliseconds(progress.first),
            "final_ms": _milliseconds(progress.final),
        }
        if why:
            told["why"] = why
        told |= {name: value for name, value in trace_of(asked.request.pairs) if name == "traceparent"}
        if self._log_uids:
            told["resource"] = asked.resource.path
        _log.info("frame", extra=told)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _stop(conditions: Conditions) -> int | None:
    """How far the codestream is read; a range of the representation reaches no further into it."""
    if conditions.is_head:
        return 0
    return None if conditions.range is None else conditions.range.stop_wanted
