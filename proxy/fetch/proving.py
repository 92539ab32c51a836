"""An origin whose answers to fetches are noted in the book of proofs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from proxy.access.proofs import Name, Proofs
from proxy.errors import OriginRefused
from proxy.fetch.demand import Demand
from proxy.fetch.supplier import Supplier
from proxy.frame.identity import Claim
from proxy.frame.supply import Answer, OriginRequest
from proxy.wire.ranges import Span


class Proving:
    """A supplier that passes everything on to an origin.

    An answer to a caller's own credentials is a proof, and it costs no request of its own.
    """

    def __init__(self, origin: Supplier, proofs: Proofs) -> None:
        self._origin = origin
        self._proofs = proofs

    @property
    def keeps_labels(self) -> bool:
        """True if HTJ2K keeps the media type that the origin gave it."""
        return self._origin.keeps_labels

    @property
    def has_validators(self) -> bool | None:
        """True if its frames have strong validators; None if that is not known yet."""
        return self._origin.has_validators

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
                if asked.identity:
                    self._proofs.allow(name, asked.key.partition)
                yield answer
        except OriginRefused as error:
            if asked.identity and not error.is_repeated:
                self._proofs.refuse(name, asked.key.plain, error)
            raise


def name_of(asked: OriginRequest) -> Name:
    """The name of a request's caller and study in the book of proofs."""
    return asked.identity, asked.key.origin, asked.key.resource.study
