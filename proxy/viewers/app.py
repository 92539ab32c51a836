"""The viewers' ASGI application: it serves frames and pictures, and forwards every other request.

It uses no framework, because viewers send many requests for frames. Paths are read from `raw_path`, because a
decoded path could differ from the one that goes to the origin.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import replace
from functools import partial
from random import SystemRandom
from time import perf_counter
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.access.authorizer import READING, Asked
from proxy.access.caller import CREDENTIALS, Access, Caller
from proxy.access.proofs import is_of_caller
from proxy.alternates.offered import REFUSALS, Alternates
from proxy.errors import (
    InternalFault,
    OriginError,
    OriginRefused,
    OriginUnreachable,
    ProxyError,
    ShuttingDown,
    UnknownName,
)
from proxy.frame.key import SeriesKey
from proxy.frame.scope import FrameScope
from proxy.origin.client import Origin
from proxy.prefetch.plans import Plans
from proxy.prefetch.studies import StudyPlans
from proxy.telemetry.telemetry import Telemetry
from proxy.viewers.changing import SAFE, Change, named_by
from proxy.viewers.delivery import DeliveryProgress
from proxy.viewers.forward import Onward, checked_target, forward, with_own_cookies
from proxy.viewers.forwarded_log import ForwardedLog
from proxy.viewers.frames import Frames
from proxy.viewers.negotiated import Negotiated
from proxy.viewers.places import Places
from proxy.viewers.problem import send_problem
from proxy.viewers.published import Published, published
from proxy.viewers.rendered import Pictures
from proxy.viewers.representing import wanted_of
from proxy.viewers.request import frame_request
from proxy.viewers.studies import Studies, Ways
from proxy.viewers.under_way import while_let_in
from proxy.wire.request import Request, read_request
from proxy.wire.resource import RenderedResource, parse_series_metadata_path

HIDDEN_WITHIN = 0.04
"""Seconds within which a refused caller is answered, at random. So the time does not tell what is held."""

_CHANCE = SystemRandom()
_log = logging.getLogger(__name__)


class ViewersApp:
    """Answers the requests of viewers."""

    def __init__(
        self,
        origins: Mapping[str, Origin],
        default: str | None,
        access: Access,
        frames: Frames,
        negotiated: Negotiated,
        pictures: Pictures,
        studies: Studies,
        alternates: Alternates,
        plans: Plans,
        study_plans: StudyPlans,
        forget: Callable[[FrameScope], None],
        places: Places,
        telemetry: Telemetry,
        via: bytes,
        lines: ForwardedLog,
    ) -> None:
        """`default` is the origin of paths that begin with no origin's name; each response gets `via`.

        `forget` drops all that is held in a scope.
        """
        self._origins = origins
        self._default = default
        self._access = access
        self._frames = frames
        self._negotiated = negotiated
        self._pictures = pictures
        self._studies = studies
        self._alternates = alternates
        self._plans = plans
        self._study_plans = study_plans
        self._forget = forget
        self._places = places
        self._metrics = telemetry.metrics
        self._via = via
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request of a viewer."""
        if scope["type"] != "http":
            return
        progress = DeliveryProgress(perf_counter(), self._via)
        try:
            request = read_request(
                scope["method"],
                scope["raw_path"],
                scope["query_string"],
                scope["headers"],
                scope.get("scheme", "http"),
            )
            await self._answer(request, receive, send, progress)
        except ProxyError as error:
            if progress.has_started:
                # The connection is closed before the announced length, so the viewer sees that the body was
                # cut.
                self._metrics.cut_answers.labels(type(error).__name__).inc()
            else:
                if isinstance(error, OriginRefused) and is_of_caller(error.status) and not error.is_repeated:
                    await asyncio.sleep(_CHANCE.uniform(0, HIDDEN_WITHIN))
                await send_problem(send, error, _range_of(scope))
        except asyncio.CancelledError:
            # When the grace period ends, uvicorn itself would send a text, which viewers take for pixels.
            if not progress.has_started:
                await send_problem(send, ShuttingDown("the service is ending"), _range_of(scope))
            raise
        except Exception:
            _log.exception("a fault inside the proxy")
            if not progress.has_started:
                await send_problem(send, InternalFault("a fault inside the proxy"), _range_of(scope))

    async def _answer(
        self, request: Request, receive: Receive, send: Send, progress: DeliveryProgress
    ) -> None:
        name, path = self._origin_of(request)
        met = Asked(request.method, path, request.path, request.query)
        admit = partial(self._access.admit, name, met, request.pairs)
        try:
            caller = await admit()
        except ProxyError as error:
            self._metrics.refused_requests.labels(type(error).__name__).inc()
            raise
        if request.method in READING:
            send = while_let_in(send, caller, admit, progress)
        asked = frame_request(request, caller, path, self._alternates)
        picture = None if asked else self._pictures.named(request, name, path)
        if picture is not None:
            await self._show(picture, request, caller, path, Ways(receive, send, progress))
        elif asked is not None:
            ways = Ways(receive, send, progress)
            if not await self._negotiated.answer(asked, ways):
                await self._hand_on(request, caller, path, ways)
        else:
            await self._hand_on(request, caller, path, Ways(receive, send, progress))

    async def _show(
        self,
        picture: RenderedResource,
        request: Request,
        caller: Caller,
        path: str,
        ways: Ways,
    ) -> None:
        """Sends the origin's own picture, or else one that the proxy makes."""
        status = 0
        if self._pictures.is_origins(caller, picture):
            status = await self._hand_on(request, caller, path, ways, REFUSALS)
        if status in (0, *REFUSALS):
            with self._places.waiting.place(caller.person):
                asked = await self._pictures.request(request, caller, picture)
            await self._frames.answer(asked, ways.receive, ways.send, ways.progress)
        if status and ways.progress.has_started:
            self._pictures.note(request, caller, picture, status)

    def _origin_of(self, request: Request) -> tuple[str, str]:
        """The origin that a path names, and the path there. Raises `UnknownName`."""
        first, _, rest = request.path.partition("/")
        if first in self._origins:
            return first, rest
        if self._default is None:
            raise UnknownName(f"no origin of that name; there are {', '.join(self._origins)}")
        return self._default, request.path

    async def _hand_on(
        self, request: Request, caller: Caller, path: str, ways: Ways, unless: Collection[int] = ()
    ) -> int:
        """Sends the response of the origin, kept or not, unless its status is in `unless`. Returns that."""
        told, status = self._published(request, caller, path), None
        asked = self._studies.named(request, path, told)
        if asked is not None:
            cookies = partial(with_own_cookies, self._origins[caller.origin], self._served(request))
            wanted = wanted_of(request, told)
            status = await self._studies.answer(asked, wanted, caller, path, ways, cookies, unless)
        if status is None:
            status = await self._forwarded(request, caller, path, ways, unless)
        if asked is not None and status == 200 and request.method == "GET":
            self._study_plans.viewed(caller, asked)
        series = parse_series_metadata_path(path)
        if series is not None and status == 200 and request.method == "GET":
            self._plans.metadata_read(SeriesKey(caller.origin, caller.partition, *series), caller)
        return status

    def _served(self, request: Request) -> str | None:
        """The path of a request, if cookies of several origins are kept apart by it."""
        return request.path if len(self._origins) > 1 else None

    def _published(self, request: Request, caller: Caller, path: str) -> Published | None:
        """How the origin's URLs are published to the viewer; None if they stay as they are."""
        prefix = request.path.removesuffix(path).rstrip("/")
        return published(self._origins[caller.origin].publishing, request, prefix)

    async def _forwarded(
        self, request: Request, caller: Caller, path: str, ways: Ways, unless: Collection[int]
    ) -> int:
        """Forwards a request as it is."""
        with self._lines.line(caller.origin, request.method, path) as line:

            async def sending(message: MutableMapping[str, Any]) -> None:
                ways.progress.has_started = True
                line.note(message)
                await ways.send(message)

            return await self._hand(request, caller, path, ways.receive, sending, unless)

    async def _hand(
        self,
        request: Request,
        caller: Caller,
        path: str,
        receive: Receive,
        sending: Send,
        unless: Collection[int],
    ) -> int:
        origin = self._origins[caller.origin]
        headers = [pair for pair in request.pairs if pair[0] not in CREDENTIALS] + [*caller.forwarded]
        served, told = self._served(request), self._published(request, caller, path)
        onward = Onward(request.method, checked_target(path, request.query), headers, served, told)
        is_safe = request.method in SAFE
        named = None if is_safe else named_by(caller.origin, path)
        with (self._places.waiting if is_safe else self._places.uploads).place(caller.person):
            if named is not None:
                change = Change(named, self._forget, sending)
                await self._change(change, origin, onward, receive)
                return 0
            return await forward(origin, onward, receive, sending, unless)

    async def _change(self, change: Change, origin: Origin, onward: Onward, receive: Receive) -> None:
        """Forwards a request that changes the origin, and drops what is held in its scope."""
        # The proxy reads the response.
        readable = [pair for pair in onward.headers if pair[0] != "accept-encoding"]
        try:
            await forward(origin, replace(onward, headers=readable), receive, change.send)
        except OriginUnreachable:
            raise
        except BaseException as error:
            change.lose(has_sender_left=not isinstance(error, OriginError))
            raise


def _range_of(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"range"), None)
