"""Builds the cache in an object store from its settings, and tries it out for a person."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from configparser import ConfigParser, Error
from typing import TYPE_CHECKING

from proxy.errors import ConfigurationError
from proxy.origin.outbound import url_of
from proxy.origin.rotation import Files, Rotating
from proxy.service.origins import outbound_of
from proxy.settings.objects import ObjectsSettings

if TYPE_CHECKING:
    from proxy.cache.bucket import Bucket, Credentials
    from proxy.cache.sealed import Names
    from proxy.cache.tier import Tier

TRIED_WITHIN = 5.0
"""Seconds that a person waits for a store."""
SECTION = "default"


def objects_of(said: ObjectsSettings, names: "Names", key: bytes) -> "Tier":
    """The tier. Reads files, which blocks. Raises `ConfigurationError`."""
    bucket = bucket_in(said)
    from proxy.cache.objects import Objects

    return Objects(bucket, names, key, said.ttl, said.first_ms / 1000)


def bucket_in(said: ObjectsSettings) -> "Bucket":
    """The bucket. Reads files, which blocks. Raises `ConfigurationError`."""
    try:
        from proxy.cache.bucket import Place, bucket_of
    except ImportError as error:
        raise ConfigurationError(
            "cache.objects: needs a client: pip install 'progressive-proxy[objects]'"
        ) from error
    assert said.url is not None
    place = Place(said.url, said.region, said.endpoint, _authorities(said), _way(said))
    credentials = _credentials(said)
    try:
        return bucket_of(place, credentials)
    except ValueError as error:
        raise ConfigurationError(f"cache.objects.url: {error}") from error


def fault_of(said: ObjectsSettings, within: float = TRIED_WITHIN) -> str | None:
    """Tries the bucket out, which blocks. Returns what is wrong with it, None if nothing is.

    The store has `within` seconds to show what it can do.
    """
    bucket = bucket_in(said)
    from proxy.cache.bucket import BucketError

    async def tried() -> None:
        async with asyncio.timeout(within):
            await bucket.try_out()

    try:
        asyncio.run(tried())
    except TimeoutError:
        return f"does not answer within {within:.0f} s"
    except BucketError as error:
        return str(error)
    return None


def _way(said: ObjectsSettings) -> str | None:
    outbound = outbound_of(said.via)
    try:
        return None if outbound is None else url_of(outbound)
    except ConfigurationError as error:
        raise ConfigurationError(f"cache.objects.via: {error}") from error


def _credentials(said: ObjectsSettings) -> "Callable[[], Awaitable[Credentials]] | None":
    if said.credentials_file is None:
        return None
    try:
        return Rotating(Files((said.credentials_file,), _read)).current
    except ConfigurationError as error:
        raise ConfigurationError(f"cache.objects.credentials_file: {error}") from error


def _read(contents: Sequence[bytes]) -> "Credentials":
    from proxy.cache.bucket import Credentials

    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(contents[0].decode())
        read = parser[SECTION]
        token = read.get("aws_session_token")
        return Credentials(read["aws_access_key_id"], read["aws_secret_access_key"], token)
    except (Error, UnicodeDecodeError, KeyError):
        raise ConfigurationError(
            f"needs aws_access_key_id and aws_secret_access_key in a section [{SECTION}]"
        ) from None  # the error would repeat a line of the file


def _authorities(said: ObjectsSettings) -> bytes | None:
    if said.ca_file is None:
        return None

    def checked(contents: Sequence[bytes]) -> bytes:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=contents[0].decode("ascii"))
        except (ssl.SSLError, ValueError):
            raise ConfigurationError(f"{said.ca_file}: no certificates in PEM") from None
        return contents[0]

    try:
        return Files((said.ca_file,), checked).read()
    except ConfigurationError as error:
        raise ConfigurationError(f"cache.objects.ca_file: {error}") from error
