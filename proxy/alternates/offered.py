"""The alternates that viewers can request, by path. For each, either the origin or the proxy makes it."""

from collections.abc import Collection, Iterable

from proxy.cache.kept import Ledger
from proxy.cache.lacking import Lacking
from proxy.codecs.jobs import Offered
from proxy.errors import OriginRefused, OtherForm
from proxy.fetch.retrieve import Retrieval
from proxy.frame.key import FrameKey
from proxy.plan.choice import CurrentChoice
from proxy.wire.media import HTJ2K, HTJ2K_RPCL

REFUSALS = frozenset({400, 404, 405, 406, 410, 415, 501})
"""Statuses that mean that the origin does not have the path. The proxy makes the alternate instead."""
MISSING = frozenset({404, 410})
"""Statuses in `REFUSALS` that say that the origin has no such frame in any form."""
UNCLEAR = frozenset({400})
"""Statuses in `REFUSALS` that can concern the request rather than the path. They are not remembered."""
ANY_IMAGE = "image/*"
"""Media type of an alternate that the origin makes, until its response gives the real one."""


class Alternates:
    """The configured alternates, and those that profiles name by path and only the origin can supply.

    HTJ2K is one more, on the plain path, if the proxy makes it of frames that an origin has in another form.
    """

    def __init__(
        self,
        offered: Iterable[Offered],
        chosen: CurrentChoice,
        ledger: Ledger,
        converted: Collection[str] = (),
    ) -> None:
        """`converted` has the names of the origins whose frames the proxy makes into HTJ2K."""
        self.converted = converted
        self._by_path = {each.path: each for each in offered}
        self._chosen = chosen
        self._lacking = Lacking(ledger=ledger)

    def media_of(self, frames_path: str, query: str) -> str:
        """Media type of the configured alternate at a path. Empty if there is none.

        A query with a size never means an alternate. The proxy cuts that picture out of the frame itself.
        """
        offered = None if "fsiz=" in query else self._by_path.get(frames_path)
        return offered.media if offered else ""

    def is_in_a_profile(self, frames_path: str) -> bool:
        """True if a profile names the path, so that plans fetch it from the origin."""
        return frames_path in self._chosen.now.frames_paths

    def is_made(self, key: FrameKey) -> bool:
        """True if the proxy makes it, False if it is requested from the origin."""
        if key.picture is not None:
            return True
        if self.may_be_converted(key):
            return key.any_of_series in self._lacking
        offered = self._by_path.get(key.frames_path)
        if offered is None or offered.made == "never":
            return False
        return offered.made == "always" or key in self._lacking

    def is_made_instead(self, wanted: Retrieval, refused: OriginRefused | OtherForm) -> bool:
        """True if the proxy makes the alternate, now that the origin has refused it."""
        if self.may_be_converted(wanted.key):
            return not wanted.is_made and refused.status in REFUSALS - MISSING
        offered = self._by_path.get(wanted.key.frames_path)
        is_missing = not wanted.is_made and refused.status in REFUSALS
        return offered is not None and offered.made == "if-missing" and is_missing

    def learn(self, wanted: Retrieval, refused: int) -> None:
        """After a successful retrieval, records that the origin has the alternate or lacks it.

        `refused` is the status with which the origin refused it before, or 0. The proxy remembers a refusal
        only after it has made the alternate. Until then the origin could lack the frame itself. Frames of a
        series are mostly in one form.
        """
        if self.may_be_converted(wanted.key):
            if wanted.is_made == (refused in REFUSALS):
                self._lacking.note(wanted.key.any_of_series, is_there=not wanted.is_made)
            return
        if wanted.key.frames_path in self._by_path and (not wanted.is_made or refused in REFUSALS - UNCLEAR):
            self._lacking.note(wanted.key, is_there=not wanted.is_made)

    def syntax_of(self, origin: str, stored: str) -> str:
        """The transfer syntax in which viewers get frames of a series that are stored in this one."""
        return HTJ2K_RPCL if origin in self.converted and stored not in ("", *HTJ2K) else stored

    def may_be_converted(self, key: FrameKey) -> bool:
        """True if a key is for HTJ2K that the proxy makes if the origin has another form."""
        return key.origin in self.converted and key.picture is None and not (key.frames_path or key.form)
