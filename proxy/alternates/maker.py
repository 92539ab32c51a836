"""The base of suppliers that make their response from a frame.

A fill treats a maker like an origin. So the proxy makes an alternate once for all viewers that request it,
and caches it, serves ranges of it and plans it like any frame. The validator of an alternate names the
version of the frame and the recipe, because the same input and recipe give the same bytes.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from proxy.alternates.material import Material
from proxy.codecs.jobs import Job, Made, Rendering
from proxy.codecs.workers import Workers
from proxy.errors import NotMade, OriginChanged
from proxy.fetch.demand import Demand
from proxy.fetch.retrieve import Retrieval, Retrieve
from proxy.fetch.series import SeriesLists
from proxy.frame.identity import Claim, Identity
from proxy.frame.key import FrameKey
from proxy.frame.supply import Answer, OriginRequest
from proxy.origin.parts import once
from proxy.wire.ranges import Span

IN_FLIGHT = 64
"""Most alternates that are in progress at once, including those that still wait for their frames."""


class Maker(ABC):
    """A supplier that makes one kind of representation from frames."""

    keeps_labels = False
    has_validators = True
    has_ranges = False

    def __init__(
        self, retrieve: Retrieve, lists: SeriesLists, workers: Workers, converted: Collection[str] = ()
    ) -> None:
        """`converted` has the names of the origins whose frames are made into HTJ2K."""
        self._retrieve = retrieve
        self._lists = lists
        self._workers = workers
        self._converted = converted

    @abstractmethod
    def _recipe(self, key: FrameKey, material: Material) -> dict[str, Any]:
        """Everything that the result depends on apart from the frame's bytes. It is serialized as JSON."""

    @abstractmethod
    async def _make(self, key: FrameKey, material: Material) -> tuple[Identity, Made]:
        """Makes the representation and returns it with the identity of the frame it was made from."""

    def may_ask_again(self) -> bool:
        """Always False, because the fetch of the frame itself has been retried already."""
        return False

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
        """Makes the representation and yields the bytes of `span`.

        Raises `NotMade` if the metadata does not describe the pixels, `CodestreamError` if the frame cannot
        be decoded, `OriginChanged` if `held` is of another version, and any error of fetching the frame.
        """
        del stage, stale
        material = await self._material(asked, demand)
        identity, made = await self._make(asked.key, material)
        version = json.dumps([identity.digest, self._recipe(asked.key, material)])
        validator = f'"{blake2b(version.encode(), digest_size=16).hexdigest()}"'
        size = "{}x{}".format(*made.size)
        lease = replace(identity.claim.lease, condition=None)  # the origin cannot revalidate the result
        claim = Claim(made.label, len(made.content), validator, lease, resolution=size)
        if held is not None and (held.label, held.total, held.validator) != (
            made.label,
            claim.total,
            validator,
        ):
            raise OriginChanged("the frame has changed since its alternate was made", "validator")
        stop = claim.total if span.stop is None else min(span.stop, claim.total)
        yield Answer(claim, span.start, stop, once(made.content[span.start : stop]))

    async def _material(self, asked: OriginRequest, demand: Demand) -> Material:
        key = asked.key.source(self._converted)
        plain = replace(asked, key=key)
        frames = await self._lists.get(key.series, asked.credentials, asked.identity)
        pixel = frames.pixel_of(key.resource)
        if pixel is None:
            raise NotMade("the metadata does not say how the pixels of this frame are stored")
        frame = Retrieval(plain, None, None, is_completed=True, planned=demand.planned)
        return Material(self._retrieve, frame, demand, frames, pixel)

    async def _done(self, job: Job | Rendering, material: Material) -> Made:
        is_planned = material.demand.planned is not None
        return await self._workers.make(job, is_planned=is_planned, trace=material.frame.asked.trace)
