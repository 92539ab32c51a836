"""Builds from the settings the part that finds callers."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from proxy.access.authorizer import Authorizer
from proxy.access.caller import Access
from proxy.access.keys import FileKeys, KeySet, KeySource, PublishedKeys, read_keys
from proxy.access.tokens import Terms, Verifier
from proxy.errors import ConfigurationError
from proxy.origin.authority import LIMITS, Authority
from proxy.origin.rotation import Files, Rotating
from proxy.origin.transport import Tls, Transport
from proxy.settings.access import AccessSettings
from proxy.settings.model import Settings
from proxy.wire.via import Via

FEWEST = 32
"""Bytes of the shortest key."""


def access_of(settings: Settings, via: Via, closing: AsyncExitStack) -> Access:
    """The part that finds callers. Reads files, which blocks. Raises `ConfigurationError`.

    `closing` gets all that has to be closed at the end.
    """
    said = settings.access
    return Access(
        said.policy,
        settings.forward,
        said.counted_cookies,
        key=None if said.key_file is None else key_in(said.key_file),
        claims=said.identity.claims,
        verifier=_verifier(said, via, closing),
        authorizer=_authorizer(settings, via, closing),
    )


def open_to_all(settings: Settings) -> str | None:
    """Why all who reach the proxy can read with credentials of its own; None if they can't."""
    said, names = settings.access, [each.name for each in settings.origins if each.has_own_proof]
    if not names or said.jwt.is_set or said.forward_auth or settings.listen.tls.client_ca_file:
        return None
    return (
        f"origins: {', '.join(names)}: all who reach listen.viewers ({settings.listen.viewers}) read "
        "with the proxy's own credentials; set access.jwt, access.forward_auth or listen.tls.client_ca_file, "
        "unless something before the proxy lets in the right people only"
    )


def key_in(path: Path) -> bytes:
    """The key in a file: all its bytes. Raises `ConfigurationError`."""
    try:
        key = Files((path,), lambda contents: contents[0]).read()
    except ConfigurationError as error:
        raise ConfigurationError(f"access.key_file: {error}") from error
    if len(key) < FEWEST:
        words = f"has {len(key)} bytes, and a key has at least {FEWEST}, such as from `openssl rand`"
        raise ConfigurationError(f"access.key_file: {path}: {words}")
    return key


def _verifier(said: AccessSettings, via: Via, closing: AsyncExitStack) -> Verifier | None:
    jwt = said.jwt
    if jwt.issuer is None or jwt.audience is None:
        return None
    terms = Terms(jwt.issuer, jwt.audience, frozenset(jwt.algorithms), jwt.leeway, jwt.claims)
    if jwt.jwks_file is not None:
        return Verifier(terms, _keys_in(jwt.jwks_file))
    issuer = _authority("the issuer of tokens", said, via, closing)
    keys = PublishedKeys(issuer.get, jwt.jwks_url or "")
    closing.push_async_callback(keys.aclose)
    return Verifier(terms, keys)


def _authorizer(settings: Settings, via: Via, closing: AsyncExitStack) -> Authorizer | None:
    said = settings.access
    if said.forward_auth is None:
        return None
    asked = _authority("the authorizer", said, via, closing)
    scheme = "https" if settings.listen.tls.certificate_file else "http"
    authorizer = Authorizer(asked.get, said.forward_auth, said.ttl, scheme)
    closing.push_async_callback(authorizer.aclose)
    return authorizer


def _keys_in(path: Path) -> KeySource:
    def made(contents: Sequence[bytes]) -> KeySet:
        try:
            return read_keys(contents[0])
        except ValueError as error:
            raise ConfigurationError(f"access.jwt.jwks_file: {path}: {error}") from error

    return FileKeys(Rotating(Files((path,), made)).current)


def _authority(name: str, said: AccessSettings, via: Via, closing: AsyncExitStack) -> Authority:
    authority = Authority(name, Transport(LIMITS, Tls(said.ca_file)), via)
    closing.push_async_callback(authority.aclose)
    return authority
