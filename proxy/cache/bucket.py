"""The door to an object store: a bucket with the S3 API, by obstore.

Nothing is retried here: a look-up that failed is a miss, and a frame that was not written is written when it
is fetched again.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import MemoryStore, S3Store

from proxy.cache.tier import Wrong

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

CONNECTED_WITHIN = 5.0
"""Seconds to connect."""
LIMIT = 60.0
"""Seconds that a request may take at most, with its body."""
READ_AGAIN = 360.0
"""Seconds after which credentials are read again; obstore does so five minutes earlier."""
CHUNK = 256 * 1024
"""Bytes that are read at once, about."""
AT_ONCE = 1000
"""Objects that are listed and deleted at once."""
_ALL_HOSTS = "*,0.0.0.0/0,::/0"
"""Every name, and every address, as the library writes them."""


Found = TypeVar("Found")


class BucketError(Exception):
    """The store has refused or failed. The message has the store's word for it, and no path."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials of S3."""

    key_id: str
    """The access key."""
    secret: str
    """Its secret."""
    token: str | None = None
    """The token of a session; None for lasting credentials."""

    def __repr__(self) -> str:
        return "<credentials>"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a bucket."""

    url: str
    """`s3://bucket/prefix`."""
    region: str | None = None
    """The region; None for the environment's."""
    endpoint: str | None = None
    """The URL of a server that speaks S3; None for the environment's, or else for AWS."""
    authorities: bytes | None = None
    """More certificate authorities, as PEM."""
    way: str | None = None
    """URL of the HTTP proxy on the way, with its login, or `environment`; None goes straight."""


class Bucket:
    """A bucket, or a part of it. Each call raises `BucketError`, and `TimeoutError` if it takes too long."""

    def __init__(self, store: S3Store | MemoryStore) -> None:
        self._store = store

    async def read(self, path: str, most: int) -> bytes | None:
        """The first `most` bytes of an object, or all that it has. None if there is none. Raises `Wrong`."""
        try:
            return b"".join([chunk async for chunk in self._chunks(path, 0, most)])
        except _Missing:
            return None

    async def stream(self, path: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        """Yields the bytes of an object from `start` to `stop`, as far as there are any. Raises `Wrong`."""
        with suppress(_Missing):
            async with aclosing(self._chunks(path, start, stop)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _chunks(self, path: str, start: int, stop: int) -> AsyncGenerator[bytes]:
        left = stop - start
        with _mapped():
            result = await _found(obstore.get_async(self._store, path, options={"range": (start, stop)}))
            async for chunk in result.stream(CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise Wrong("more than was asked for")
                yield bytes(chunk)

    async def size(self, path: str) -> int:
        """Bytes of an object; 0 if there is none."""
        with _mapped(), suppress(_Missing):
            return int((await _found(obstore.head_async(self._store, path)))["size"])
        return 0

    async def write(self, path: str, content: bytes) -> None:
        """Writes an object in one step, in place of another one."""
        with _mapped():
            await obstore.put_async(self._store, path, content, use_multipart=False)

    async def drop(self, path: str) -> None:
        """Deletes an object, if there is one."""
        with _mapped():
            await obstore.delete_async(self._store, [path])

    async def drop_older(self, folder: str, than: str) -> None:
        """Deletes all objects in a folder that were not written after another object, if that is there."""
        with _mapped(), suppress(_Missing):
            last = (await _found(obstore.head_async(self._store, than)))["last_modified"]
            async for found in obstore.list(self._store, folder, chunk_size=AT_ONCE):
                old = [each["path"] for each in found if each["last_modified"] <= last]
                if old:
                    await obstore.delete_async(self._store, old)

    async def look(self) -> None:
        """Looks into the bucket: it has to be there, and has to let itself be listed."""
        with _mapped():
            await anext(obstore.list(self._store, chunk_size=1), None)

    async def try_out(self) -> None:
        """Does all that a tier does, with an object of its own."""
        await self.look()
        content = token_bytes(16)
        path = f"check/{content.hex()}"
        await self.write(path, content)
        with suppress(Wrong):
            if await self.read(path, len(content)) == content:
                await self.drop(path)
                return
        raise BucketError("it does not give back what was just written")


@dataclass(frozen=True, slots=True)
class _Provided:
    """Credentials, as obstore awaits them. If it gives up before, no coroutine is left that nobody awaits."""

    credentials: Callable[[], Awaitable[Credentials]]

    def __await__(self) -> Generator[Any, Any, "S3Credential"]:
        found = yield from self.credentials().__await__()
        return {
            "access_key_id": found.key_id,
            "secret_access_key": found.secret,
            "token": found.token,
            "expires_at": datetime.now(UTC) + timedelta(seconds=READ_AGAIN),
        }


def bucket_of(place: Place, credentials: Callable[[], Awaitable[Credentials]] | None) -> Bucket:
    """A bucket. Without `credentials`, they are those of the environment. Raises `ValueError`."""

    config: S3Config = {}
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECTED_WITHIN),
        "timeout": timedelta(seconds=LIMIT),
    }
    if place.region is not None:
        config["region"] = place.region
    if place.endpoint is not None:
        config["endpoint"] = place.endpoint
        client["allow_http"] = place.endpoint.startswith("http:")
    if place.authorities is not None:
        client["root_certificate"] = place.authorities
    if place.way is None:  # the library would obey the environment
        client["proxy_url"], client["proxy_excludes"] = "http://localhost", _ALL_HOSTS
    elif place.way != "environment":
        client["proxy_url"] = place.way
    provider: Any = None if credentials is None else partial(_Provided, credentials)
    try:
        store = S3Store.from_url(
            place.url,
            config=config,
            client_options=client,
            retry_config={"max_retries": 0},
            credential_provider=provider,
        )
    except BaseError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    return Bucket(store)


class _Missing(Exception):
    pass


async def _found(call: Awaitable[Found]) -> Found:
    """The answer to a call. Raises `_Missing` if there is no such object, but a bucket."""
    try:
        return await call
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise
        raise _Missing from error


@contextmanager
def _mapped() -> Iterator[None]:
    """Within it, the library's errors are ours: a word of the store, without a path or what it echoes."""
    try:
        yield
    except TimeoutError:
        raise
    except (BaseError, OSError, ValueError) as error:
        words = str(error)
        if code := re.search(r"<Code>(\w{1,64})</Code>", words):
            raise BucketError(code[1]) from None
        if status := re.search(r"status code: (\d{3})", words):
            raise BucketError(f"status {status[1]}") from None
        raise BucketError("no answer, or none of S3") from None
