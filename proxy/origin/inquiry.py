"""The requests for one span of one frame, form after form, until the origin sends it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import httpx

from proxy.frame.identity import Claim, Condition
from proxy.frame.supply import OriginRequest
from proxy.origin.exchange import Exchange
from proxy.origin.forms import NO_RANGES, Asking
from proxy.origin.freshness import is_same
from proxy.origin.parts import in_envelope
from proxy.wire.ranges import Span

WHOLE = Span(0, None)


@dataclass(frozen=True, slots=True)
class Reply:
    """An origin's response, not yet checked."""

    form: int
    """The form of the request, as an index into `Asking.forms`."""
    span: Span
    """The requested bytes of the origin's representation."""
    response: httpx.Response
    """The response, with its body still to come. The caller closes it."""
    headers: Mapping[str, str]
    """Its headers, names in lower case; a dict, because each of them is looked up, and some often."""
    refusals: Mapping[int, int] = field(default_factory=dict)
    """For each form that was refused before, the status."""
    unchanged: Claim | None = None
    """The stale version, if the origin says that it still has it."""

    @property
    def status(self) -> int:
        """The status of the response."""
        return self.response.status_code

    @property
    def is_ranged(self) -> bool:
        """True if the request had a range."""
        return self.span != WHOLE

    @property
    def is_good(self) -> bool:
        """True if the response has bytes of the frame."""
        return self.status in (200, 206)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One span of one frame to ask an origin for. Each method raises `OriginError`."""

    exchange: Exchange
    """The connection to the origin."""
    base: str
    """The origin's URL."""
    asking: Asking
    """The forms that work at the origin."""
    series: str
    """The path of the frame's series."""
    asked: OriginRequest
    """The request for the frame."""
    span: Span
    """The wanted bytes of the codestream."""
    held: Claim | None
    """The version whose first bytes are held; None if none are."""
    stale: Claim | None = None
    """The version to revalidate; None if there is none."""

    async def reply(self) -> Reply:
        """Asks in the form that worked, then in others. If all are refused, prefers a 404 to the first.

        If a 304 concerns another version than the stale one, asks again without a condition.
        """
        known = self.held or self.stale
        form = self.asking.first(self.series) if known is None else known.form
        reply = await self.ask(form)
        if reply.status == 304 and (condition := self._condition(form)) is not None:
            if is_same(reply.headers, condition):
                return replace(reply, unchanged=self.stale)
            await reply.response.aclose()
            return await replace(self, stale=None).reply()
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
        """Asks in one form; if the origin refuses a range, asks once more without it."""
        ranged = in_envelope(self.span, self.held, has_envelope=self.asking.has_envelope)
        is_fit = not self.asking.forms[form].is_multipart or self.asking.has_stable_parts
        if self.held is None and not (is_fit and self.asking.takes_ranges):
            ranged = WHOLE
        reply = await self._send(form, ranged)
        # An origin that knows ranges refuses the caller: it would say the same of a whole frame.
        is_of_caller = reply.status == 403 and self.asked.identity and self.asking.has_ranges
        if self.held is None and is_of_caller:
            return reply
        if ranged == WHOLE or reply.status not in NO_RANGES:
            return reply
        await reply.response.aclose()
        whole = await self._send(form, WHOLE)
        if whole.is_good:
            self.asking.note_no_ranges()
        # If it is the same version, the whole frame contains the requested rest.
        return whole if self.held is None else replace(whole, span=ranged)

    async def _send(self, form: int, ranged: Span) -> Reply:
        how, asked, url = self.asking.forms[form], self.asked, f"{self.base}/{self.asked.path}"
        headers = [("accept", how.accept), ("accept-encoding", "identity"), *asked.credentials, *asked.trace]
        if ranged != WHOLE:
            headers.append(("range", ranged.to_header()))
            if self.held is not None and self.held.validator is not None:
                headers.append(("if-range", self.held.validator))
        if (condition := self._condition(form)) is not None:
            headers.append(condition)
        if how.query:
            url += ("&" if "?" in asked.path else "?") + how.query
        response = await self.exchange.get(url, headers)
        return Reply(form, ranged, response, dict(response.headers.items()))

    def _condition(self, form: int) -> Condition | None:
        """The condition of a request in a form. The validator of one form says nothing about others."""
        return self.stale.lease.condition if self.stale is not None and form == self.stale.form else None
