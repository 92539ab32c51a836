"""Names and seals for what lies outside the process. Imports cryptography and xxhash.

A name is an HMAC, so nobody can read from it which study a frame is of, or try UIDs without the key. Each
level of a frame's address has a name of its own, so that a tier finds the frames of a study without a scan.

A seal belongs to a name and to a place in the frame. If one bit of it, of its name or of its place is
another, it does not open. Records are always encrypted, since an ETag can hold a UID. Pixels are encrypted if
there is a key for them. If not, they have a checksum, which shows the faults of a disk, but no forgery.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from xxhash import xxh3_128

from proxy.cache.record import VERSION
from proxy.cache.tier import Wrong
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope

LEVELS = ("origin", "study", "series", "instance", "frame", "partition", "path")
"""The parts of an address that a scope can name, from wide to narrow."""
NONCE = 12


@dataclass(frozen=True, slots=True)
class Name:
    """The names of a frame."""

    exact: bytes
    """The name of the frame itself; 16 bytes."""
    levels: tuple[int, ...]
    """A name of 64 bits for each of `LEVELS`. Frames of two studies can share one, if rarely."""


class Names:
    """Gives names."""

    def __init__(self, key: bytes, made_from: Callable[[FrameKey], str] = lambda _key: "") -> None:
        """`made_from` tells what bytes under a key depend on beside the key, such as the origin's URL."""
        self._key = derived(key, b"names")
        self._made_from = made_from

    def of(self, key: FrameKey) -> Name:
        """The names of a frame."""
        resource = key.resource
        at = (key.origin, resource.study, resource.series, resource.instance, resource.frame_number)
        exact = ("exact", VERSION, self._made_from(key), key.partition, key.path, key.origin, key.picture)
        form = (key.form,) if key.form else ()  # HTJ2K keeps the name that earlier releases gave it
        levels = [self._level(name, at[: number + 1]) for number, name in enumerate(LEVELS[:5])]
        path = _path(key.frames_path, key.form)
        levels += [self._level("partition", key.partition), self._level("path", path)]
        return Name(self._digest((*exact, *form))[:16], tuple(levels))

    def within(self, named: FrameScope) -> dict[str, int]:
        """The names that all frames of a scope have, by level. Others may have them too."""
        at = (named.origin, named.study, named.series, named.instance, named.frame_number)
        depth = next((number for number, part in enumerate(at) if not part), len(at))
        found = {name: self._level(name, at[: number + 1]) for number, name in enumerate(LEVELS[:depth])}
        if named.partition is not None:
            found["partition"] = self._level("partition", named.partition)
        if named.frames_path is not None and named.form is not None:
            found["path"] = self._level("path", _path(named.frames_path, named.form))
        return found

    def _level(self, name: str, value: object) -> int:
        return int.from_bytes(self._digest((name, value))[:8], signed=True)

    def _digest(self, value: object) -> bytes:
        return hmac.digest(self._key, repr(value).encode("utf-8", "surrogateescape"), sha256)


def _path(frames_path: str, form: str) -> object:
    return (frames_path, form) if form else frames_path


class Seal(Protocol):
    """Closes bytes, so that they open only as they were."""

    @property
    def size(self) -> int:
        """Bytes that a seal adds."""

    @property
    def apart(self) -> int:
        """How many of these stand at the end, so that whoever reads them apart need not copy the others."""

    def close(self, about: bytes, content: bytes) -> bytes:
        """The sealed bytes; `about` says what they are."""

    def open(self, about: bytes, sealed: bytes, end: bytes = b"") -> bytes:
        """The bytes in a seal. Its last `apart` bytes may be given as `end`. Raises `Wrong`."""


class Checked:
    """Adds a checksum."""

    size = apart = 16

    def close(self, about: bytes, content: bytes) -> bytes:
        """The bytes, and a checksum of them and of what they are."""
        return content + self._sum(about, content)

    def open(self, about: bytes, sealed: bytes, end: bytes = b"") -> bytes:
        """The bytes before the checksum."""
        content, end = (sealed, end) if end else (sealed[: -self.size], sealed[-self.size :])
        if self._sum(about, content) != end:
            raise Wrong("the checksum does not fit")
        return content

    def _sum(self, about: bytes, content: bytes) -> bytes:
        seen = xxh3_128(len(about).to_bytes(8))
        seen.update(about)
        seen.update(content)
        return seen.digest()


class Encrypted:
    """Encrypts by AES-256-GCM, with a random nonce for each seal."""

    size = NONCE + 16
    apart = 0

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(derived(key, b"content"))

    def close(self, about: bytes, content: bytes) -> bytes:
        """The nonce, the encrypted bytes, and the tag."""
        nonce = token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, content, about)

    def open(self, about: bytes, sealed: bytes, end: bytes = b"") -> bytes:
        """The bytes, decrypted."""
        try:
            return self._cipher.decrypt(sealed[:NONCE], memoryview(sealed + end)[NONCE:], about)
        except (InvalidTag, ValueError) as error:
            raise Wrong("it does not decrypt") from error


def derived(key: bytes, what: bytes) -> bytes:
    """A key for one use; 32 bytes."""
    return hmac.digest(key, b"progressive-proxy tier 1: " + what, sha256)
