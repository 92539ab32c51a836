"""Builds from the settings the part that finds callers."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from proxy.access.authorizer import Authorizer, Pairs
from proxy.access.bearer import TokenVerifier
from proxy.access.caller import Access
from proxy.errors import ConfigurationError
from proxy.origin.authority import LIMITS, Authority
from proxy.origin.rotation import Files
from proxy.origin.transport import Tls, Transport
from proxy.service.origins import outbound_of
from proxy.settings.access import AccessSettings
from proxy.settings.model import Settings
from proxy.wire.via import Via

FEWEST = 32
"""Bytes of the shortest key."""


def access_of(settings: Settings, via: Via, closing: AsyncExitStack, key: bytes | None = None) -> Access:
    """The part that finds callers. Reads files, which blocks. Raises `ConfigurationError`.

    `closing` gets all that has to be closed at the end. `key` is that of the HMACs that stand for callers, if
    no file has one; None to make one.
    """
    said = settings.access
    server = partial(_authority, said, via, closing)
    return Access(
        said.policy,
        settings.forward,
        said.counted_cookies,
        key=key if said.key_file is None else key_in(said.key_file),
        claimed=_claimed(said),
        verifier=_verifier(said, partial(server, "the issuer of tokens"), closing),
        authorizer=_authorizer(settings, partial(server, "the authorizer"), closing),
    )


def key_in(path: Path, setting: str = "access.key_file") -> bytes:
    """The key in a file that a setting names: all its bytes. Raises `ConfigurationError`."""
    try:
        key = Files((path,), lambda contents: contents[0]).read()
    except ConfigurationError as error:
        raise ConfigurationError(f"{setting}: {error}") from error
    if len(key) < FEWEST:
        words = f"has {len(key)} bytes, and a key has at least {FEWEST}, such as from `openssl rand`"
        raise ConfigurationError(f"{setting}: {path}: {words}")
    return key


def _claimed(said: AccessSettings) -> Callable[[Pairs], Pairs] | None:
    if not said.identity.claims:
        return None
    from proxy.access.tokens import claimed  # its library takes 9 MiB

    return partial(claimed, said.identity.claims)


def _verifier(
    said: AccessSettings, issuer: Callable[[], Authority], closing: AsyncExitStack
) -> TokenVerifier | None:
    if not said.jwt.is_set:
        return None
    from proxy.service.tokens import verifier_of  # likewise

    return verifier_of(said.jwt, issuer, closing)


def _authorizer(
    settings: Settings, server: Callable[[], Authority], closing: AsyncExitStack
) -> Authorizer | None:
    said = settings.access
    if said.forward_auth is None:
        return None
    scheme = "https" if settings.listen.tls.certificate_file else "http"
    authorizer = Authorizer(server().get, said.forward_auth, said.ttl, scheme)
    closing.push_async_callback(authorizer.aclose)
    return authorizer


def _authority(said: AccessSettings, via: Via, closing: AsyncExitStack, name: str) -> Authority:
    authority = Authority(name, Transport(LIMITS, Tls(said.ca_file), outbound_of(said.via)), via)
    closing.push_async_callback(authority.aclose)
    return authority
