"""The proxy's own credentials for an origin: a bearer token, a password, or AWS keys.

They replace those of the viewers. If an origin has them, no viewer's Authorization or Cookie is forwarded to
it, and every caller of the proxy can read what these credentials may read. Secrets come from files, the
environment or botocore's chain of providers, never from the configuration. They occur in no message, log line
or `repr`. Only this module imports botocore. The proxy's own certificate belongs to the connection: see
`transport`.
"""

import logging
import os
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qsl

import httpx

from proxy.errors import ConfigurationError
from proxy.origin.rotation import Files, Rotating

VIEWERS_OWN = ("authorization", "cookie")
"""Headers of a viewer that are not forwarded."""

_TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)
_PASSWORD = re.compile(r"[^\x00-\x1f\x7f]+")
_SIGNED = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")

Secret = TypeVar("Secret", bound=Hashable)


class Renewed(Protocol[Secret]):
    """A secret that changes while the service runs."""

    async def current(self) -> Secret:
        """The secret. Raises `NoToken`."""
        ...

    async def after(self, refused: Secret) -> Secret:
        """A secret that may be newer than the one that the origin refused."""
        ...


class OwnCredentials(httpx.Auth, Generic[Secret]):
    """Puts a secret on each request. After a 401 it retries once, if there is a newer secret by then."""

    def __init__(self, secret: Renewed[Secret], put: Callable[[httpx.Request, Secret], None]) -> None:
        self._secret = secret
        self._put = put

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sends the request, and once more if the secret changed meanwhile (RFC 9110 11.6.1)."""
        secret = await self._secret.current()
        self._put_alone(request, secret)
        response = yield request
        if response.status_code != 401:
            return
        newer = await self._secret.after(secret)
        if newer != secret and _has_body_at_hand(request):
            await _leave_unread(response)
            self._put_alone(request, newer)
            yield request

    def _put_alone(self, request: httpx.Request, secret: Secret) -> None:
        for name in VIEWERS_OWN:
            request.headers.pop(name, None)
        self._put(request, secret)


def bearer(path: Path) -> httpx.Auth:
    """Credentials with the token in a file (RFC 6750 2.1). Raises `ConfigurationError`."""
    return OwnCredentials(token_in(path), _put_bearer)


def token_in(path: Path) -> Rotating[str]:
    """The bearer token in a file. Raises `ConfigurationError`."""

    def token_of(contents: Sequence[bytes]) -> str:
        return _line_of(contents[0], str(path), _TOKEN, "a token is printable ASCII without spaces")

    return Rotating(Files((path,), token_of))


def issued(tokens: Renewed[str]) -> httpx.Auth:
    """Credentials with tokens that a token server issues."""
    return OwnCredentials(tokens, _put_bearer)


def basic(user: str, password_file: Path) -> httpx.Auth:
    """Credentials of a user, with the password in a file (RFC 7617). Raises `ConfigurationError`."""
    return OwnCredentials(password_in(password_file), _put_basic(user))


def password_in(path: Path) -> Rotating[str]:
    """The password, or the secret of a client, in a file. Raises `ConfigurationError`."""

    def read(contents: Sequence[bytes]) -> str:
        return password_of(contents[0], str(path))

    return Rotating(Files((path,), read))


def basic_from_environment(user: str, variable: str) -> httpx.Auth:
    """Credentials of a user, with the password in a variable. Raises `ConfigurationError`."""
    if variable not in os.environ:
        raise ConfigurationError(f"environment variable {variable}: not set")
    password = password_of(os.environb[variable.encode()], f"environment variable {variable}")
    return OwnCredentials(Rotating(Files((), lambda _: password)), _put_basic(user))


def aws(region: str, service: str) -> httpx.Auth:
    """Credentials with AWS Signature Version 4. Raises `ConfigurationError`.

    The keys come from botocore's chain of providers. A streamed body is not signed, because it can be read
    only once; it is sent as `UNSIGNED-PAYLOAD`.
    """
    return OwnCredentials(Rotating(_AwsKeys()), _put_signature(region, service))


class _AwsKeys:
    """Keys from botocore's providers, with a token if the keys expire."""

    can_change = True

    def __init__(self) -> None:
        try:
            from botocore.session import Session
        except ImportError as error:
            words = "AWS credentials need botocore: pip install 'progressive-proxy[aws]'"
            raise ConfigurationError(words) from error
        # At level DEBUG, botocore logs tokens and whole responses.
        logging.getLogger("botocore").setLevel(logging.INFO)
        self._session = Session()

    def mark(self) -> Hashable:
        """The keys themselves. Reading them renews keys that expire."""
        keys: Hashable = self.read()
        return keys

    def read(self) -> Any:  # noqa: ANN401  # botocore publishes no types
        """The keys now: `access_key`, `secret_key` and `token`. Raises `ConfigurationError`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = self._session.get_credentials()
            keys = found and found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            # The message of a botocore error may quote a response.
            raise ConfigurationError(f"AWS credentials: {type(error).__name__}") from error
        if not keys or not keys.access_key or not keys.secret_key:
            raise ConfigurationError("AWS credentials: no provider has any")
        return keys


def _put_bearer(request: httpx.Request, token: str) -> None:
    request.headers["authorization"] = f"Bearer {token}"


def _put_basic(user: str) -> Callable[[httpx.Request, str], None]:
    def put(request: httpx.Request, password: str) -> None:
        pair = b64encode(f"{user}:{password}".encode())  # RFC 7617 2
        request.headers["authorization"] = f"Basic {pair.decode('ascii')}"

    return put


def _put_signature(region: str, service: str) -> Callable[[httpx.Request, Any], None]:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    def put(request: httpx.Request, keys: Any) -> None:  # noqa: ANN401  # botocore publishes no types
        for name in [name for name in request.headers if name.startswith("x-amz-")]:
            del request.headers[name]  # it is a viewer's and would not be signed
        url = request.url
        # Arguments are sent exactly as they are signed, because a server parses them before it checks.
        query = parse_qsl(url.query.decode("ascii"), keep_blank_values=True)
        kind = {name: request.headers[name] for name in ("content-type",) if name in request.headers}
        at_hand = _has_body_at_hand(request)
        body = request.content if at_hand else b""
        signed = AWSRequest(request.method, str(url.copy_with(query=None)), kind, body, query)
        signed.context["payload_signing_enabled"] = at_hand
        SigV4Auth(keys, service, region).add_auth(signed)
        request.headers.update({name: signed.headers[name] for name in _SIGNED if name in signed.headers})

    return put


def _has_body_at_hand(request: httpx.Request) -> bool:
    """True if the body can be read twice."""
    return isinstance(request.stream, httpx.ByteStream)


async def _leave_unread(response: httpx.Response) -> None:
    """Closes a body that httpx would otherwise read before the retry, with no bound on its size."""
    if isinstance(response.stream, httpx.AsyncByteStream):
        await response.stream.aclose()
    response.stream = httpx.ByteStream(b"")


def password_of(content: bytes, where: str) -> str:
    """The password in a file or variable. Raises `ConfigurationError`, which names `where`."""
    return _line_of(content, where, _PASSWORD, "a password has no control characters")


def _line_of(content: bytes, where: str, form: re.Pattern[str], words: str) -> str:
    """The secret, which is one line. No part of it is in an error. Raises `ConfigurationError`."""
    try:
        line = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where}: not UTF-8") from None
    if not line:
        raise ConfigurationError(f"{where}: empty")
    if "\n" in line or "\r" in line:
        raise ConfigurationError(f"{where}: more than one line")
    if form.fullmatch(line) is None:
        raise ConfigurationError(f"{where}: {words}")
    return line
