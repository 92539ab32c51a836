"""An origin whose answers to fetches are noted in the book of proofs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from proxy.access.proofs import Name, Proofs
from proxy.errors import OriginRefused
from proxy.fetch.demand import Demand
from proxy.fetch.supplier import Supplier
from proxy.frame.identity import IDENTIFYING, Claim
from proxy.frame.supply import Answer, OriginRequest
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.ranges import Span
from proxy.wire.text import is_text


class Proving:
    """A supplier that passes everything on to an origin.

    An answer to a caller's own credentials is a proof, and it costs no request of its own. A page to log in,
    sent with 200 under the label of a frame, is none.
    """

    def __init__(
        self, origin: Supplier, proofs: Proofs, telemetry: Telemetry, *, is_probe: bool = False
    ) -> None:
        """With `is_probe` it notes only refusals, since a yes has to be compared first."""
        self._is_probe = is_probe
        self._origin = origin
        self._refused = telemetry.metrics.access_probes.labels("no")
        self._proofs = proofs

    @property
    def keeps_labels(self) -> bool:
        """True if HTJ2K keeps the media type that the origin gave it."""
        return self._origin.keeps_labels

    @property
    def has_validators(self) -> bool | None:
        """True if its frames have strong validators; None if that is not known yet."""
        return self._origin.has_validators

    @property
    def has_ranges(self) -> bool | None:
        """True if it answers a range with a range; None if that is not known yet."""
        return self._origin.has_ranges

    def may_ask_again(self) -> bool:
        """Counts a retry, and returns True if a failed request may be retried now."""
        return self._origin.may_ask_again()

    @asynccontextmanager
    async def fetch(
        self,
        asked: OriginRequest,
        span: Span,
        held: Claim | None,
        stage: str,
        demand: Demand,
        stale: Claim | None = None,
    ) -> AsyncIterator[Answer]:
        """Fetches a span of a codestream. Raises `OriginError`."""
        name = name_of(asked)
        try:
            async with self._origin.fetch(asked, span, held, stage, demand, stale) as answer:
                yield answer if self._is_probe or not asked.identity else self._noting(name, asked, answer)
        except OriginRefused as error:
            if asked.identity and not error.is_repeated:
                self._refused.inc()
                self._proofs.refuse(name, asked.key, error)
            raise

    def _noting(self, name: Name, asked: OriginRequest, answer: Answer) -> Answer:
        """The answer. The yes is noted at once if it continues what is held, else with its first bytes."""
        if answer.start or answer.is_unchanged:
            self._proofs.allow(name, asked.key.partition)
            return answer
        return replace(answer, chunks=self._noted(name, asked, answer, self._proofs.refusals))

    async def _noted(
        self, name: Name, asked: OriginRequest, answer: Answer, refusals: int
    ) -> AsyncIterator[bytes]:
        leading, claim, is_noted = b"", answer.claim, False
        needed = min(IDENTIFYING, claim.total, answer.stop)
        async for chunk in answer.chunks:
            if not is_noted:
                leading += chunk
                is_noted = len(leading) >= needed
                if is_noted and not is_text(claim.label, leading[:IDENTIFYING], claim.total):
                    self._proofs.allow(name, asked.key.partition, refusals)
            yield chunk


def name_of(asked: OriginRequest) -> Name:
    """The name of a request's caller and study in the book of proofs."""
    return asked.identity, asked.key.origin, asked.key.resource.study
