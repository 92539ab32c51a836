"""Checks that the bytes of several fetches belong to one version of a frame.

A completion is appended if a strong validator guards it. It is also appended if the frame is HTJ2K and its
markers lead to its end. Otherwise the whole frame is fetched anew, and it has to begin with the bytes that
are in already. A frame without a strong validator is digested as it arrives, and identified by that digest.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import count
from secrets import token_bytes

from proxy.codestream.whole import fault_of
from proxy.errors import OriginChanged, OriginMismatch
from proxy.frame.frame import Frame, cut
from proxy.frame.identity import Claim, Identity
from proxy.frame.supply import Validators
from proxy.wire.ranges import Span

_KEY, _COPIES = token_bytes(32), count()  # the system's own random bytes would cost each fill a call of it


class Seam:
    """The checks of one fill."""

    def __init__(self, policy: Validators, held: Frame | None) -> None:
        self.copy = blake2b(b"%d" % next(_COPIES), key=_KEY, digest_size=16).hexdigest()
        """A random name for the fill's bytes, used if the origin gives no strong validator."""
        self.is_apart = False
        """True if frames of the series can't be completed by a second fetch."""
        self.is_unguarded = False
        """True if several fetches bring the frame and no strong validator guards them."""
        self.begun_at = 0
        """End of the bytes that were requested before the frame was fetched anew; exclusive, in bytes."""
        self.held: Identity | None = None
        """The version of the bytes that the fill began with; None if it began with none."""
        self._policy = policy
        is_named = held is None or held.identity.claim.validator is not None
        self._was = held.identity if held and not is_named and held.identity.is_vouched else None
        self._seen = None if is_named or held is None else blake2b(b"".join(held.pieces))

    def begin(self, said: Claim, stop: int) -> str | None:
        """Takes the first claim, and returns the validator that guards later fetches, if any.

        The response ends at `stop`. Raises `OriginMismatch`.
        """
        if self._policy == "strict" and said.validator is None and stop < said.total:
            raise OriginMismatch("nothing that a completion could be guarded by", "validator")
        validator = None if self._policy in ("length", "off") else said.validator
        self._seen = None if validator else blake2b()
        return validator

    def join(self, held: Claim, said: Claim, identity: Identity | None) -> None:
        """Checks the claim of a completion. Raises `OriginChanged`."""
        # A 206 has the ETag that a 200 would have, but may leave out Last-Modified (RFC 9110 15.3.7).
        is_bare = held.validator is not None and held.validator.startswith('"') and said.validator is None
        self.is_unguarded |= is_bare or held.validator is None
        if is_bare and not (identity and identity.is_progressive):
            raise OriginChanged("a completion without the validator that the frame had", "validator")

    @staticmethod
    def is_anew(span: Span, claim: Claim | None) -> bool:
        """True if a span is the whole frame, some bytes of which are in or on their way already."""
        return span.start == 0 and claim is not None and claim.validator is None

    def takes_all(self, claim: Claim, identity: Identity | None, *, is_begun: bool) -> bool | None:
        """True if the frame has to be fetched anew; None if that is not known yet.

        `is_begun` is True if all bytes requested so far are in.
        """
        if claim.validator is not None or self._policy == "off":
            return False
        if self.is_apart or self._policy == "strict":
            return True
        if identity is not None:
            return not identity.is_progressive
        return True if is_begun else None

    def beyond(self, chunk: bytes, at: int, chunks: Sequence[bytes]) -> bytes:
        """Returns what is new in a chunk of a refetched frame, at offset `at`. Raises `OriginChanged`."""
        known = chunk[: max(0, self.begun_at - at)]
        if known != b"".join(cut(chunks, at, at + len(known))):
            raise OriginChanged("other bytes than before", "bytes")
        return chunk[len(known) :]

    def check(self, identity: Identity | None, chunks: Sequence[bytes], size: int, chunk: bytes) -> None:
        """Checks the frame before its last chunk, if several fetches bring it and no validator guards them.

        The markers of a codestream have to lead to its end. A frame that was held whole has to have the same
        bytes again. A frame that came by only one fetch passes. Raises `OriginMismatch`.
        """
        if not self.is_unguarded or self._policy == "off" or identity is None:
            return
        if size + len(chunk) < identity.claim.total:
            return
        if self._was is not None and self._seen is not None:
            seen = self._seen.copy()
            seen.update(chunk)
            if identity.vouched(seen).digest != self._was.digest:
                raise OriginChanged("other bytes than the whole had before", "digest")
        elif identity.is_progressive and fault_of(b"".join([*chunks, chunk])):
            raise OriginMismatch("two fetches brought bytes that do not fit together", "markers")

    def name(self, identity: Identity | None, size: int, chunk: bytes) -> Identity | None:
        """Digests a chunk that ends at `size`. Returns the identity, with the digest once it is whole."""
        if self._seen is None:
            return identity
        self._seen.update(chunk)
        is_whole = identity is not None and size == identity.claim.total
        return identity.vouched(self._seen) if identity is not None and is_whole else identity
