"""The admin listener of several workers: it answers for all of them.

Health, metrics, reports and the progress of what is warmed are merged. The worker that keeps a study makes
its plans, and is told of its purges, of which it tells the others. The worker that has a plan is found by
asking each.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from proxy.access.bounds import Bound
from proxy.admin.app import create_part
from proxy.admin.configuration import create_configuration_api
from proxy.admin.live import Live
from proxy.admin.lock import Lock
from proxy.admin.operate import create_status_api
from proxy.admin.operators import PAGE, problem
from proxy.admin.status import Hour, Status
from proxy.admin.versions import VERSION
from proxy.errors import ProxyError, ServiceFull
from proxy.prefetch.warm import COUNTS
from proxy.service.several.bridge import asked
from proxy.service.several.parent import Child, Parent
from proxy.service.several.statuses import merged_hour, merged_status
from proxy.telemetry.exposition import is_open

WITHIN = 5.0
"""Seconds in which a worker says how it is."""

STATES = ("queued", "running", "failed", "cancelled", "spent", "done", "idle")
"""The states of what is warmed. If workers have different ones, the first of these counts."""
TIMES = ("began", "ended", "next")
OWN = ("/", PAGE, *(f"{VERSION}/status{path}" for path in ("", "/hour", "/events")))
"""Paths that it answers itself, some from what all workers tell."""
BELOW = (f"{PAGE}/", f"{VERSION}/configuration")
"""It answers paths that begin so too."""
OF_ONE = (f"{VERSION}/plans/", f"{VERSION}/status/plans/")
"""Paths below these are of a plan, which one of the workers has."""

Answer = tuple[int, bytes]
"""Status and body."""


class Speaker:
    """Answers the requests of administrators."""

    def __init__(self, parent: Parent, streams: Bound, lock: Lock) -> None:
        """`streams` has the places of streams of the status."""
        self._parent = parent
        self.live = Live(self, streams)
        """The streams of the status."""
        status = create_status_api(self.status, self.hour, self.live)
        self._own = create_part((status, create_configuration_api(parent.in_force)), lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == f"{VERSION}/warm" and scope["method"] in ("GET", "POST", "DELETE"):
            response = await self._warm(scope, await _body(receive))
            await response(scope, receive, send)
            return
        merged = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
            f"{VERSION}/origins": self._origins,
        }.get(path)
        try:
            if merged is not None and scope["method"] == "GET":
                response = await merged(scope)
                await response(scope, receive, send)
            elif path in OWN or path.startswith(BELOW):
                await self._own(scope, receive, send)
            else:
                await self._hand_on(scope, await _body(receive), receive, send)
        except ProxyError as error:
            await problem(error)(scope, receive, send)

    async def _livez(self, scope: Scope) -> Response:
        answers = await self._all(scope)
        is_well = all(answer is not None for answer in answers.values())
        return JSONResponse({"status": "ok" if is_well else "a worker hangs"}, 200 if is_well else 503)

    async def _readyz(self, scope: Scope) -> Response:
        lines, why = list[str](), ""
        answers = await self._all({**scope, "query_string": b"verbose"})
        for number in range(self._parent.count):
            status, body = answers.get(number) or (503, b"[-]not running\nreadyz check failed: not running\n")
            *checks, result = body.decode().splitlines()
            lines += [f"{line[:3]}worker {number}: {line[3:]}" for line in checks]
            if status != 200:
                why = why or f"worker {number}: {result.partition(': ')[2]}"
        why = "ending" if self._parent.is_ending else why
        status = 503 if why else 200
        if "verbose" not in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            return JSONResponse({"status": why or "ok"}, status)
        lines.append(f"readyz check failed: {why}" if why else "readyz check passed")
        return PlainTextResponse("".join(f"{line}\n" for line in lines), status)

    async def _metrics(self, scope: Scope) -> Response:
        parent = self._parent
        accept = Request(scope).headers.get("accept", "")
        shown_open = is_open(accept, has_traces=parent.settings.traces.endpoint is not None)
        children = [child for child in parent.running if child.ready.done()]
        pages = await asyncio.gather(*(self._whole(child, {**scope, "method": "GET"}) for child in children))
        for child, page in zip(children, pages, strict=True):
            if page is not None and page[0] == 200 and child in parent.running:
                parent.totals.take(child.key, page[1], is_open=shown_open, is_first=child.number == 0)
        body, media = parent.exposition(is_open=shown_open)
        return Response(body, headers={"content-type": media})

    async def _origins(self, scope: Scope) -> Response:
        answers = [answer for answer in (await self._all(scope)).values() if answer is not None]
        refused = next((answer for answer in answers if answer[0] != 200), None)
        if not answers or refused is not None:
            status, body = refused or (503, b"{}")
            return Response(body, status, media_type="application/problem+json")
        return JSONResponse(merged_reports([json.loads(body) for _, body in answers]))

    async def _warm(self, scope: Scope, body: bytes) -> Response:
        """The answer of all workers: each warms the studies that it keeps."""
        answers = [answer for answer in (await self._all(scope, body, scope["method"])).values() if answer]
        refused = next((answer for answer in answers if answer[0] >= 300), None)
        if not answers or refused is not None:
            status, said = refused or (503, b"{}")
            return Response(said, status, media_type="application/problem+json")
        if scope["method"] == "DELETE":
            return Response(status_code=answers[0][0])
        return JSONResponse(merged_progress([json.loads(said) for _, said in answers]), answers[0][0])

    async def status(self) -> Status:
        """The status of all workers. Raises `ServiceFull` if none tells its own."""
        told = await self._told("/status")
        statuses = {number: Status.model_validate_json(body) for number, body in told.items()}
        reasons = [
            f"worker {number}: {each.ready}" for number, each in statuses.items() if each.ready != "ok"
        ]
        silent = [
            f"worker {number}: not running" for number in range(self._parent.count) if number not in told
        ]
        ready = "ending" if self._parent.is_ending else next(iter((*reasons, *silent)), "ok")
        return merged_status(list(statuses.values()), ready)

    async def hour(self) -> Hour:
        """The last hour of all workers. Raises likewise."""
        told = await self._told("/status/hour")
        return merged_hour([Hour.model_validate_json(body) for body in told.values()])

    async def _told(self, path: str) -> dict[int, bytes]:
        """The answer of each live worker under a path. The parent asks for itself, so it needs no token."""
        asked = {"path": f"{VERSION}{path}", "query_string": b"", "headers": (), "client": None}
        answers = await self._all({**asked, "state": {"certificate": True}})
        told = {number: answer[1] for number, answer in answers.items() if answer and answer[0] == 200}
        if not told:
            raise ServiceFull("no worker tells how it is")
        return told

    async def _all(self, scope: Scope, body: bytes = b"", method: str = "GET") -> dict[int, Answer | None]:
        """The answer of each live worker; None if it has none in time."""
        current = {number: self._parent.current(number) for number in range(self._parent.count)}
        children = {number: child for number, child in current.items() if child is not None}
        told = {**scope, "method": method}
        answers = await asyncio.gather(*(self._whole(child, told, body) for child in children.values()))
        return dict(zip(children, answers, strict=True))

    async def _whole(self, child: Child, scope: Scope, body: bytes = b"") -> Answer | None:
        status, pieces = 0, list[bytes]()
        try:
            async with asyncio.timeout(WITHIN):
                async for message in self._asked(child, scope, body):
                    status = message.get("status", status)
                    pieces.append(message.get("body", b""))
        except (TimeoutError, ProxyError):
            return None
        return status, b"".join(pieces)

    def _asked(self, child: Child, scope: Scope, body: bytes) -> AsyncIterator[Message]:
        near, far = socket.socketpair()
        with far:
            if not child.control.send({}, passed=far.fileno()):
                near.close()
                raise ServiceFull("the worker that was asked takes no orders")
        near.setblocking(False)
        return asked(near, scope, body)

    async def _hand_on(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Sends the answer of the worker that has one, and stops it if the client leaves."""
        answering = asyncio.create_task(self._answer(scope, body, send))
        leaving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()
        if not answering.cancelled() and answering.done():
            answering.result()

    async def _answer(self, scope: Scope, body: bytes, send: Send) -> None:
        children = self._those_to_ask(scope["path"], body)
        if not children:
            raise ServiceFull("no worker is live")
        for place, child in enumerate(children, 1):
            async for message in self._asked(child, scope, body):
                if message.get("status") == 404 and place < len(children):
                    break  # it is another one's plan
                await send(message)
            else:
                return

    def _those_to_ask(self, path: str, body: bytes) -> list[Child]:
        """The workers that may have the answer. The first one that does not say 404 has it."""
        parent, study = self._parent, _study_of(path, body)
        owner = parent.owners.of(study) if study else None
        numbers = parent.owners.live if owner is None else (owner,)
        children = [child for child in map(parent.current, numbers) if child is not None]
        return children if path.startswith(OF_ONE) else children[:1]


async def _body(receive: Receive) -> bytes:
    pieces = list[bytes]()
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


def _study_of(path: str, body: bytes) -> bytes:
    """The study that a purge or a plan is about; empty if it names none."""
    if path.startswith(f"{VERSION}/cache/studies/"):
        return path.split("/")[4].encode()
    if path != f"{VERSION}/plans":
        return b""
    try:
        study = json.loads(body)["study"]
        return study.encode() if isinstance(study, str) else b""
    except (ValueError, KeyError, TypeError, RecursionError):
        return b""  # the worker will say so


def merged_reports(reports: list[Mapping[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """One report for each origin. It says the worst that any worker knows, and the first form that works."""
    return {
        name: {fact: _joined(fact, [report[name][fact] for report in reports]) for fact in facts}
        for name, facts in reports[0].items()
    }


def _joined(fact: str, told: list[Any]) -> Any:  # noqa: ANN401  # of any type
    known = [each for each in told if each is not None]
    if fact == "form" or not known:
        return next(iter(known), None)
    return any(known) if fact == "resting" else all(known)


def merged_progress(reports: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One progress for each name. Numbers are summed; the state is that of the worker with most to say."""
    return [_progress([report[place] for report in reports]) for place in range(len(reports[0]))]


def _progress(same: list[dict[str, Any]]) -> dict[str, Any]:
    states = [each["state"] for each in same]
    began, ended, following = ([each[name] for each in same if each[name]] for name in TIMES)
    return {
        **same[0],
        **{name: sum(each[name] for each in same) for name in COUNTS},
        "state": next(state for state in STATES if state in states),
        "error": next((each["error"] for each in same if each["error"]), ""),
        "began": min(began, default=None),
        "ended": max(ended, default=None) if "running" not in states else None,
        "next": min(following, default=None),
    }
