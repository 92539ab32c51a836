"""The origin's claim about a frame, and the identity that distinguishes versions of the frame."""

from dataclasses import dataclass, replace
from hashlib import blake2b
from math import inf
from typing import NamedTuple

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
"""Number of leading bytes of a codestream that are hashed into its ETag."""


MOST_TAIL = 1024
"""Most bytes that an origin's envelope, such as a multipart boundary, may have after the codestream."""


class Condition(NamedTuple):
    """A header of a request that is answered by 304 if the version is still the same (RFC 9110 13.1)."""

    name: str
    """`if-none-match` or `if-modified-since`."""
    value: str
    """The ETag, strong or weak, or a strong Last-Modified."""

    @property
    def is_by_date(self) -> bool:
        """True if the condition is a date."""
        return self.name == "if-modified-since"


@dataclass(frozen=True, slots=True)
class Lease:
    """How long the proxy may reuse a response, in seconds (RFC 9111 4.2). 0 allows no other request."""

    own: float = inf
    """Lifetime for the caller whose credential fetched the response."""
    shared: float = inf
    """Lifetime for all callers without a credential."""
    is_personal: bool = False
    """True if only one caller without a credential may have the response, not others that wait for it."""
    age: float = 0.0
    """Age of the response in seconds when it arrived."""
    since: float | None = None
    """Monotonic time at which the response was made. None means now, less `age`."""
    is_storable: bool = True
    """False if the proxy must not keep the response, not even to revalidate it."""
    condition: Condition | None = None
    """The condition under which the origin revalidates the response. None if nothing names its version."""
    if_error: float = inf
    """How long the response may be used after its lifetime if the origin fails (RFC 5861 4). 0 forbids it."""

    def within(self, other: "Lease") -> "Lease":
        """The lease for bytes of two responses: `self` arrived first, and the stricter limits apply."""
        return replace(
            self,
            own=min(self.own, other.own),
            shared=min(self.shared, other.shared),
            is_personal=self.is_personal or other.is_personal,
            is_storable=self.is_storable and other.is_storable,
            condition=self._condition_with(other),
            if_error=min(self.if_error, other.if_error),
        )

    def _condition_with(self, other: "Lease") -> Condition | None:
        # A 206 has the ETag that a 200 would have, but may leave out Last-Modified (RFC 9110 15.3.7).
        is_left_out = other.condition is None and self.condition is not None and self.condition.is_by_date
        return self.condition if is_left_out or self.condition == other.condition else None

    def may_be_kept(self, *, is_shared: bool) -> bool:
        """True if the response may be stored, for all callers without a credential if `is_shared`."""
        return self.is_storable and not (is_shared and self.is_personal)

    def until(self, ttl: float, now: float, *, is_shared: bool) -> float:
        """The time at which the lease ends, at most `ttl` seconds after it began. `now` is the time now."""
        return self.after(min(ttl, self.shared if is_shared else self.own), now)

    def dated(self, now: float) -> "Lease":
        """The lease of a response that arrived now, with the time at which the response was made."""
        return self if self.since is not None else replace(self, since=now - self.age)

    def after(self, seconds: float, now: float) -> float:
        """The time so many seconds after the lease began."""
        return (now - self.age if self.since is None else self.since) + seconds


@dataclass(frozen=True, slots=True)
class Claim:
    """The facts that an origin states about a codestream before its bytes arrive."""

    label: str
    """Media type with its transfer syntax, as in a part header."""
    total: int
    """Length of the whole codestream in bytes."""
    validator: str | None
    """Strong ETag or Last-Modified that fits If-Range (RFC 9110 13.1.5). None if the origin gave none."""
    lease: Lease = Lease()
    """How long the origin lets the proxy keep the codestream."""
    form: int = 0
    """Index of the request form that the origin answered. Missing bytes are requested in the same form."""
    offset: int = 0
    """Bytes of the origin's envelope before the codestream."""
    tail: int | None = 0
    """Bytes of the origin's envelope after the codestream. None if the response did not give its length."""
    resolution: str = ""
    """Width and height, such as 128x128, if the proxy made the image. Empty if the origin did."""

    @property
    def size(self) -> int:
        """Length in bytes of the origin's representation, including its envelope."""
        return self.offset + self.total + (self.tail or 0)

    def is_of(self, size: int) -> bool:
        """True if the origin's representation can be `size` bytes long."""
        behind = size - self.offset - self.total
        return 0 <= behind <= MOST_TAIL if self.tail is None else behind == self.tail


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of one version of a frame, from the origin's claim and the leading bytes.

    Without a strong validator from the origin, two versions can agree in both. In that case the identity
    names only the copy that one fill fetches, until all of its bytes have arrived and can be hashed.
    """

    claim: Claim
    """The claim of the origin."""
    digest: str
    """Hex digest that names the version, or only the copy if `is_vouched` is False."""
    ends: tuple[int, ...] = ()
    """Bytes from 0 that hold each resolution, smallest first. Empty if no TLM marker gives them."""
    label: str = ""
    """Media type with its transfer syntax, read from the bytes if possible, else as claimed."""
    fault: str = ""
    """Why the bytes are not the claimed HTJ2K codestream. Empty if they are, or if none was claimed."""
    is_vouched: bool = True
    """True if the origin's strong validator, or a digest of all bytes, identifies the version."""
    copy: str = ""
    """The digest that named the copy before all of its bytes had arrived. Empty if there was none."""

    @property
    def is_progressive(self) -> bool:
        """True if the first bytes can be shown as a smaller picture."""
        return is_htj2k(self.label) and not self.fault

    def etag(self, envelope: Envelope) -> str:
        """The ETag of one representation (RFC 9110 8.8.3). It is weak until the version is vouched for."""
        return ("" if self.is_vouched else "W/") + f'"{self.digest}-{envelope.value[0]}"'

    def is_named(self, tag: str, envelope: Envelope) -> bool:
        """True if an ETag names these bytes, by weak comparison (RFC 9110 8.8.3.2)."""
        names = (f'"{name}-{envelope.value[0]}"' for name in (self.digest, self.copy) if name)
        return tag.removeprefix("W/") in names

    def vouched(self, seen: blake2b) -> "Identity":
        """The same identity, named by `seen`, the hash of all of its bytes."""
        named = blake2b(seen.digest() + self.label.encode(), digest_size=16)
        return replace(self, digest=named.hexdigest(), is_vouched=True, copy=self.digest)

    def begun_anew(self, copy: str) -> "Identity":
        """The identity of another copy that begins with bytes of this one.

        If the origin gave a validator, the identity does not change.
        """
        if self.claim.validator is not None:
            return self
        return replace(self, digest=copy, is_vouched=False, copy="")


def identify(claim: Claim, leading: bytes, *, copy: str = "", keeps_label: bool = False) -> Identity:
    """The identity of a codestream. `leading` needs its first `IDENTIFYING` bytes, or all if it is shorter.
    If the claim has no strong validator, `copy` goes into the digest instead. With `keeps_label`, a
    codestream that was claimed as HTJ2K and is HTJ2K keeps its claimed media type.
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
    """The media type that describes an HTJ2K codestream, whatever the origin calls it.

    Archives label HTJ2K as octet-stream, even as Explicit VR Little Endian, or as .202 if it is not RPCL.
    Without a parameter the type means .201 (PS3.18 table 8.7.3-5). Viewers decode .201 progressively if the
    parameter is absent, and wait for the whole codestream if it is present. So the parameter is left out if
    the packets are in order of resolution.
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
