"""What an origin claims about a frame, and what tells one version of the frame from another."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from math import inf

from proxy.codestream.header import Header, read_header
from proxy.errors import CodestreamError
from proxy.wire.media import (
    HTJ2K,
    HTJ2K_ANY,
    HTJ2K_LOSSLESS,
    HTJ2K_RPCL,
    JPHC,
    Envelope,
    is_htj2k,
    parse_media_type,
)

IDENTIFYING = 4096
"""Leading bytes of a codestream that go into its ETag."""


MOST_TAIL = 1024
"""Bytes that an origin's envelope has at most after the codestream."""


@dataclass(frozen=True, slots=True)
class Lease:
    """For how long an answer may be used again (RFC 9111 4.2), in seconds; 0 is for no other request."""

    own: float = inf
    """For the caller whose credential fetched it."""
    shared: float = inf
    """For callers who prove nothing, all of them together."""
    is_personal: bool = False
    """Whether of the callers who prove nothing only one may have it, and not who waits for the same."""
    age: float = 0.0
    """How old it was when it came."""
    since: float | None = None
    """When it was made, by the monotonic clock; None is now."""

    def within(self, other: "Lease") -> "Lease":
        """For bytes of both answers, of which this one came first."""
        own, shared = min(self.own, other.own), min(self.shared, other.shared)
        return replace(self, own=own, shared=shared, is_personal=self.is_personal or other.is_personal)

    def until(self, ttl: float, now: float, *, is_shared: bool) -> float:
        """When it ends by the clock that says `now`, if frames are kept for `ttl` seconds at most."""
        since = now - self.age if self.since is None else self.since
        return since + min(ttl, self.shared if is_shared else self.own)


@dataclass(frozen=True, slots=True)
class Claim:
    """What an origin says of a codestream before its bytes are there."""

    label: str
    """Media type with its transfer syntax, as in a part header."""
    total: int
    """Bytes of the whole codestream."""
    validator: str | None
    """Strong ETag or Last-Modified, fit for If-Range (RFC 9110 13.1.5); None where there is none."""
    lease: Lease = Lease()
    """For how long the origin lets it be kept."""
    form: int = 0
    """In which form the origin gave it; what is missing is asked for in the same."""
    offset: int = 0
    """Bytes of the origin's own envelope before it."""
    tail: int | None = 0
    """Bytes of that envelope after it; None if the answer did not tell how long it was."""
    resolution: str = ""
    """Width and height of what was made here, as 128x128; empty where it was not."""

    @property
    def size(self) -> int:
        """Bytes of the origin's representation, envelope included."""
        return self.offset + self.total + (self.tail or 0)

    def is_of(self, size: int) -> bool:
        """Whether the origin's representation can have so many bytes."""
        behind = size - self.offset - self.total
        return 0 <= behind <= MOST_TAIL if self.tail is None else behind == self.tail


@dataclass(frozen=True, slots=True)
class Identity:
    """A claim together with the leading bytes: what makes a version of a frame itself and no other.

    If the origin gives no strong validator, two versions can agree in all of that. Then the identity is of
    one copy, the one that a fill brings, until all its bytes are there and name it.
    """

    claim: Claim
    """What the origin said."""
    digest: str
    """Names the version, in hex; if it is not vouched for, the copy."""
    ends: tuple[int, ...] = ()
    """By resolution, 0 the smallest: so many bytes from 0 hold it; empty where TLM does not tell."""
    label: str = ""
    """Media type with its transfer syntax, from the bytes where they tell, else what was claimed."""
    fault: str = ""
    """Why its bytes are not the HTJ2K codestream that was claimed; empty where they are, or none was."""
    is_vouched: bool = True
    """Whether a strong validator of the origin, or a digest of all bytes, tells it from other versions."""
    copy: str = ""
    """What named it before all of its bytes did."""

    @property
    def is_progressive(self) -> bool:
        """Whether its first bytes are a picture."""
        return is_htj2k(self.label) and not self.fault

    def etag(self, envelope: Envelope) -> str:
        """The ETag of one representation (RFC 9110 8.8.3), weak as long as nothing vouches for it."""
        return ("" if self.is_vouched else "W/") + f'"{self.digest}-{envelope.value[0]}"'

    def is_named(self, tag: str, envelope: Envelope) -> bool:
        """Whether an ETag names these bytes, by weak comparison (RFC 9110 8.8.3.2)."""
        names = (f'"{name}-{envelope.value[0]}"' for name in (self.digest, self.copy) if name)
        return tag.removeprefix("W/") in names

    def vouched(self, seen: blake2b) -> "Identity":
        """The same, named by all of its bytes, which were seen."""
        named = blake2b(seen.digest() + self.label.encode(), digest_size=16)
        return replace(self, digest=named.hexdigest(), is_vouched=True, copy=self.digest)

    def begun_anew(self, copy: str) -> "Identity":
        """The same for another copy that begins with bytes of this one; what a validator names stays."""
        if self.claim.validator is not None:
            return self
        return replace(self, digest=copy, is_vouched=False, copy="")


def identify(claim: Claim, leading: bytes, *, copy: str = "", keeps_label: bool = False) -> Identity:
    """The identity of a codestream that starts with these bytes; needs `IDENTIFYING` of them, or all.

    `copy` goes into the name of what no strong validator names. With `keeps_label` HTJ2K keeps the label
    under which it was claimed to be that.
    """
    is_vouched = claim.validator is not None
    seen = blake2b(leading[:IDENTIFYING], digest_size=16)
    seen.update(f"{claim.label}\n{claim.total}\n{claim.validator if is_vouched else copy}".encode())
    label, fault, is_claimed = claim.label, "", is_htj2k(claim.label)
    ends: tuple[int, ...] = ()
    try:
        header = read_header(leading)
    except CodestreamError as error:
        header, fault = None, str(error)
    else:
        fault = "its blocks are not HTJ2K" if header else "its main header is too long"
    if header is not None and header.is_htj2k:
        label = claim.label if keeps_label and is_claimed else _label(claim.label, header)
        ends, fault = header.resolution_ends, ""
    return Identity(claim, seen.hexdigest(), ends, label, fault if is_claimed else "", is_vouched)


def _label(claimed: str, header: Header) -> str:
    """What HTJ2K is: archives call it octet-stream, even Explicit VR Little Endian, or .202 when it is not.

    Without a parameter the type means .201 (PS3.18 table 8.7.3-5); viewers take that for progressive and the
    parameter for a reason to wait for all of it, so it is left out where the order goes by resolution.
    """
    syntax = parse_media_type(claimed).parameters.get("transfer-syntax", "")
    if syntax in HTJ2K and syntax not in (HTJ2K_LOSSLESS, HTJ2K_RPCL):
        return f"{JPHC};transfer-syntax={syntax}"
    if not header.reasons and (syntax == HTJ2K_RPCL or not is_htj2k(claimed)):
        return f"{JPHC};transfer-syntax={HTJ2K_RPCL}"
    if not header.is_reversible:
        return f"{JPHC};transfer-syntax={HTJ2K_ANY}"
    is_by_resolution = header.progression == "RPCL" and header.tiles == 1
    return JPHC if is_by_resolution else f"{JPHC};transfer-syntax={HTJ2K_LOSSLESS}"
