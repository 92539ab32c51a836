"""A server as the measuring viewer sees it. httpx's errors become the project's own here."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx
from httpx_sse import EventSource

from proxy.errors import (
    ConfigurationError,
    OriginHungUp,
    OriginMismatch,
    OriginTimeout,
    OriginUnreachable,
)
from proxy.measure.picture import check_status
from proxy.origin.outbound import Outbound
from proxy.origin.transport import Tls, Transport, TransportLimits
from proxy.wire.dicomjson import read_json

CONNECTIONS = 6
"""Open connections to one server, as in a browser."""
READ_TIMEOUT = 60.0
"""Seconds without a byte. On a slow link, other responses may be ahead in the queue."""
MAX_JSON = 64 * 1024 * 1024
"""Bytes of one metadata response; a larger one is refused."""

_HOST = re.compile(rb"[0-9A-Za-z._:-]+")


class Server:
    """The origin or the proxy. Use it in an `async with`."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        connections: int = CONNECTIONS,
        outbound: Outbound | None = None,
        tls: Tls | None = None,
    ) -> None:
        """`url` is the base, without /studies; `headers` are sent with each request.

        Raises `ConfigurationError` if `url` is invalid.
        """
        parsed = _parsed(url)
        self.name = parsed.netloc.decode("ascii")
        """Host and port, for messages."""
        self._client = httpx.AsyncClient(
            base_url=parsed,
            transport=Transport(
                TransportLimits(first_byte=READ_TIMEOUT, stall=READ_TIMEOUT, connections=connections),
                tls or Tls(),
                outbound=outbound,
            ),
            headers={"Accept-Encoding": "identity", **(headers or {})},
            timeout=None,  # noqa: S113  # the transport has its own limits
            trust_env=False,
        )

    @asynccontextmanager
    async def ask(self, path: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """Sends a GET; the body is yet to be read. Raises `OriginError`, also while the body is read."""
        try:
            async with self._client.stream("GET", path, headers=headers) as response:
                yield response
        except httpx.ProxyError as error:
            raise OriginUnreachable(f"could not connect to {self.name}: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise OriginUnreachable(f"could not connect to {self.name}") from error
        except httpx.TimeoutException as error:
            raise OriginTimeout(f"{self.name} sent nothing for {READ_TIMEOUT:g} s") from error
        except httpx.TransportError as error:
            raise OriginHungUp(f"{self.name} ended its response too early") from error

    async def begin_plan(self, wanted: dict[str, Any]) -> str:
        """Starts a plan at the admin listener and returns the plan's path. Raises `OriginError`."""
        try:
            response = await self._client.post("plans", json=wanted)
        except httpx.TransportError as error:
            raise OriginUnreachable(f"{self.name} could not be asked for a plan") from error
        check_status(response.status_code, (202,))
        return response.headers["location"].lstrip("/")

    async def warm(self, method: str = "GET", wanted: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Looks at what the admin listener warms, begins it (POST) or cancels it (DELETE).

        Raises `OriginUnreachable`, `OriginRefused` or `OriginFailed`.
        """
        try:
            response = await self._client.request(method, "warm", json=wanted)
        except httpx.TransportError as error:
            raise OriginUnreachable(f"{self.name} can't be reached") from error
        check_status(response.status_code, (200, 202, 204))
        told: list[dict[str, Any]] = response.json() if response.content else []
        return told

    async def purge(self, study: str) -> None:
        """Drops all that the proxy holds of a study, at its admin listener. Raises `OriginError`."""
        try:
            response = await self._client.delete(f"cache/studies/{study}")
        except httpx.TransportError as error:
            raise OriginUnreachable(f"{self.name} could not be asked to drop a study") from error
        check_status(response.status_code, (204,))

    async def events_of(self, plan: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yields the name and the fields of each event, until the plan has ended. Raises `OriginError`."""
        async with self.ask(f"{plan}/events", {"Accept": "text/event-stream"}) as response:
            check_status(response.status_code, (200,))
            async for event in EventSource(response).aiter_sse():
                yield event.event, event.json()

    async def get_json(self, path: str) -> list[dict[str, Any]]:
        """Returns the objects of a DICOM JSON response (PS3.18 F.2) of at most `MAX_JSON` bytes."""
        body = bytearray()
        async with self.ask(path, {"Accept": "application/dicom+json"}) as response:
            check_status(response.status_code, (200, 204))
            async for chunk in response.aiter_bytes():  # some servers compress it unasked
                body += chunk
                if len(body) > MAX_JSON:
                    raise OriginMismatch(
                        f"{self.name}: the metadata has more than {MAX_JSON} bytes", "too_large"
                    )
        try:
            parsed = read_json(bytes(body)) if body else []
        except ValueError as error:
            raise OriginMismatch(f"{self.name}: the response to a search is not JSON", "json") from error
        if not isinstance(parsed, list) or not all(isinstance(item, dict) for item in parsed):
            raise OriginMismatch(f"{self.name}: the response to a search is not DICOM JSON", "json")
        return parsed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or _HOST.fullmatch(parsed.raw_host) is None:
        raise ConfigurationError(
            f"{url!r}: must be the URL of a server, such as http://127.0.0.1:8042/dicom-web"
        )
    return parsed
