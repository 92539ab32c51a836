"""The requests for one span of one frame, until the origin gives it in one of the forms that there are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx

from proxy.frame.identity import Claim
from proxy.frame.supply import OriginRequest
from proxy.origin.exchange import Exchange
from proxy.origin.forms import FORMS, NO_RANGES, Asking
from proxy.origin.parts import in_envelope
from proxy.wire.ranges import Span

WHOLE = Span(0, None)


@dataclass(frozen=True, slots=True)
class Reply:
    """An origin's answer, not yet believed."""

    form: int
    """In which it was asked."""
    span: Span
    """The span that was asked for, in bytes of the origin's representation."""
    response: httpx.Response
    """Its body is still to come, and it has to be closed."""
    refusals: Mapping[int, int] = field(default_factory=dict)
    """Statuses by which other forms were refused before."""

    @property
    def status(self) -> int:
        """Status of the response."""
        return self.response.status_code

    @property
    def is_good(self) -> bool:
        """True if it gives bytes."""
        return self.status in (200, 206)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question to an origin. Each method raises `OriginError`."""

    exchange: Exchange
    """With the origin."""
    base: str
    """The origin's URL."""
    asking: Asking
    """Which form works there."""
    series: str
    """The path of the frame's series."""
    asked: OriginRequest
    """The frame."""
    span: Span
    """Bytes of its codestream."""
    held: Claim | None
    """The version whose first bytes are held; None if none are."""

    async def reply(self) -> Reply:
        """Asks in the form that worked, then in others. If all refuse, returns a 404 or the first one."""
        form = self.asking.first(self.series) if self.held is None else self.held.form
        reply = await self.ask(form)
        if self.held is not None or reply.is_good:
            return reply
        refusals = {form: reply.status}
        for other in self.asking.others(self.series, form, reply.status):
            try:
                another = await self.ask(other)
            except BaseException:
                await reply.response.aclose()
                raise
            if another.is_good:
                await reply.response.aclose()
                self.asking.refused(refusals)
                return replace(another, refusals=refusals)
            refusals[other] = another.status
            if another.status == 404 != reply.status:
                reply, another = another, reply
            await another.response.aclose()
        return reply

    async def ask(self, form: int) -> Reply:
        """In one form; if the origin refuses a range there, without one."""
        ranged = in_envelope(self.span, self.held, has_envelope=self.asking.has_envelope)
        is_fit = not FORMS[form].is_multipart or self.asking.has_stable_parts
        if self.held is None and not (is_fit and self.asking.takes_ranges):
            ranged = WHOLE
        reply = await self._send(form, ranged)
        if ranged == WHOLE or reply.status not in NO_RANGES:
            return reply
        await reply.response.aclose()
        whole = await self._send(form, WHOLE)
        if whole.is_good:
            self.asking.note_no_ranges()
        # The rest that was asked for is in the whole of the same version.
        return whole if self.held is None else replace(whole, span=ranged)

    async def _send(self, form: int, ranged: Span) -> Reply:
        how, asked, url = FORMS[form], self.asked, f"{self.base}/{self.asked.path}"
        headers = [("accept", how.accept), ("accept-encoding", "identity"), *asked.credentials, *asked.trace]
        if ranged != WHOLE:
            headers.append(("range", ranged.to_header()))
            if self.held is not None and self.held.validator is not None:
                headers.append(("if-range", self.held.validator))
        if how.query:
            url += ("&" if "?" in asked.path else "?") + how.query
        return Reply(form, ranged, await self.exchange.get(url, headers))
