"""The alternates that may be asked for, by path, and whether the origin or the proxy makes each."""

from collections.abc import Iterable

from proxy.cache.lacking import Lacking
from proxy.codecs.jobs import Offered
from proxy.errors import OriginRefused
from proxy.fetch.retrieve import Retrieval
from proxy.frame.key import FrameKey
from proxy.plan.choice import CurrentChoice

REFUSALS = frozenset({400, 404, 405, 406, 410, 415, 501})
"""Statuses by which an origin says that it has no such path; the proxy makes the alternate then."""
UNCLEAR = frozenset({400})
"""Those of them that may be about the request and not about the path, so that nothing is learned of them."""
ANY_IMAGE = "image/*"
"""Media type of an alternate that the origin makes, as far as it is known before."""


class Alternates:
    """All alternates that are configured, and those that profiles name and only the origin has."""

    def __init__(self, offered: Iterable[Offered], chosen: CurrentChoice) -> None:
        self._by_path = {each.path: each for each in offered}
        self._chosen = chosen
        self._lacking = Lacking()

    def media_of(self, frames_path: str, query: str) -> str:
        """Media type of the configured alternate at a path; empty if there is none.

        If the query asks for a size, there is none: such a picture is cut out of the frame itself.
        """
        offered = None if "fsiz=" in query else self._by_path.get(frames_path)
        return offered.media if offered else ""

    def is_in_a_profile(self, frames_path: str) -> bool:
        """Whether a profile names the path, so that plans fetch what the origin has there."""
        return frames_path in self._chosen.now.frames_paths

    def is_made(self, key: FrameKey) -> bool:
        """Whether the proxy makes it; otherwise the origin is asked."""
        if key.picture is not None:
            return True
        offered = self._by_path.get(key.frames_path)
        if offered is None or offered.made == "never":
            return False
        return offered.made == "always" or key in self._lacking

    def is_made_instead(self, wanted: Retrieval, refused: OriginRefused) -> bool:
        """Whether the proxy makes it now that the origin has refused to give it."""
        offered = self._by_path.get(wanted.key.frames_path)
        is_missing = not wanted.is_made and refused.status in REFUSALS
        return offered is not None and offered.made == "if-missing" and is_missing

    def learn(self, wanted: Retrieval, refused: int) -> None:
        """A retrieval succeeded; `refused` is the status by which the origin had refused it before, or 0.

        As long as it was not made, nobody knows if the origin lacks the alternate or the frame.
        """
        if wanted.key.frames_path in self._by_path and (not wanted.is_made or refused in REFUSALS - UNCLEAR):
            self._lacking.note(wanted.key, is_there=not wanted.is_made)
