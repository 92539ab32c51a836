"""Opens all that a configuration names: files, variables, libraries of extras, token servers.

A token server that does not answer keeps nobody from starting `serve`, but a check asks it for a token.

Each maker is imported only if a setting needs it, so that a short configuration is checked quickly.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from proxy.errors import ConfigurationError, NoToken
from proxy.settings.model import Settings
from proxy.settings.objects import ObjectsSettings
from proxy.settings.sections import OriginSettings
from proxy.settings.shared import SharedSettings
from proxy.settings.tracing import TracesSettings
from proxy.settings.via import ViaSettings
from proxy.wire.via import Via

Key = tuple[str | int, ...]


def faults_of(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Yields what can't be used: the key of the setting, and what is wrong."""
    for key, opened in _openings(settings):
        try:
            opened()
        except ConfigurationError as error:
            yield _told(key, str(error))


def _told(key: Key, words: str) -> tuple[Key, str]:
    """The key and what is wrong, without the key. The words may begin with that key, or with one below it."""
    named, _, rest = words.partition(": ")
    below = named.removeprefix(".".join(map(str, key)))
    if below == named or below[:1] not in ("", "."):
        return key, words
    return (*key, *filter(None, below.split("."))), rest


def _openings(settings: Settings) -> Iterator[tuple[Key, Callable[[], object]]]:
    for number, origin in enumerate(settings.origins):
        yield from _of_origin(("origins", number), origin)
    access, tls = settings.access, settings.listen.tls
    if access.key_file is not None:
        yield ("access", "key_file"), partial(_key, access.key_file)
    if access.ca_file is not None:
        yield ("access", "ca_file"), partial(_authorities, access.ca_file)
    yield from _of_way(("access", "via"), access.via)
    if access.jwt.jwks_file is not None:
        yield ("access", "jwt", "jwks_file"), partial(_jwt, settings)
    yield from _of_tokens(settings)
    if tls.certificate_file is not None:
        yield ("listen", "tls"), partial(_listeners, settings)
    yield from _of_tiers(settings)
    if settings.audit.file not in (None, "-"):
        yield ("audit", "file"), partial(_writable, Path(str(settings.audit.file)))
    if settings.traces.endpoint is not None:
        yield from _of_traces(settings.traces)


def _of_tokens(settings: Settings) -> Iterator[tuple[Key, Callable[[], object]]]:
    if settings.admin.token_file is not None:
        yield ("admin", "token_file"), partial(_admin_token, settings.admin.token_file)
    for number, warm in enumerate(settings.warm):
        if warm.token_file is not None:
            yield ("warm", number, "token_file"), partial(_bearer, warm.token_file)


def _of_origin(key: Key, origin: OriginSettings) -> Iterator[tuple[Key, Callable[[], object]]]:
    if origin.tls.ca_file or origin.tls.certificate_file:
        yield (*key, "tls"), partial(_transport, origin)
    yield from _of_way((*key, "via"), origin.via)
    own = origin.credentials
    names = ("bearer_file", "password_file", "password_env", "aws_region")
    for name in names:
        if getattr(own, name) is not None:
            yield (*key, "credentials", name), partial(_credentials, origin)
    if own.oauth2.is_set:
        yield (*key, "credentials", "oauth2"), partial(_token, origin)


def _of_tiers(settings: Settings) -> Iterator[tuple[Key, Callable[[], object]]]:
    cache = settings.cache
    if cache.disk.encryption_key_file is not None:
        key = ("cache", "disk", "encryption_key_file")
        yield key, partial(_key, cache.disk.encryption_key_file, ".".join(key))
    if cache.shared.url is not None:
        yield ("cache", "shared"), partial(_shared, cache.shared)
    if cache.objects.url is not None:
        yield ("cache", "objects"), partial(_objects, cache.objects)


def _shared(said: SharedSettings) -> None:
    from proxy.cache.sealed import Names
    from proxy.service.tiers import shared_of

    shared_of(said, Names(b""), b"")


def _objects(said: ObjectsSettings) -> None:
    from proxy.service.objects import bucket_in

    bucket_in(said)


def _transport(origin: OriginSettings) -> None:
    from proxy.origin.transport import Transport, TransportLimits
    from proxy.service.origins import tls_of

    Transport(TransportLimits(), tls_of(origin))


def _of_way(key: Key, via: ViaSettings) -> Iterator[tuple[Key, Callable[[], object]]]:
    if via.url:
        yield key, partial(_outbound, via)


def _outbound(via: ViaSettings) -> None:
    from proxy.origin.transport import Transport, TransportLimits
    from proxy.service.origins import outbound_of

    Transport(TransportLimits(), None, outbound_of(via))


def _credentials(origin: OriginSettings) -> None:
    from proxy.service.origins import own_credentials

    own_credentials(origin, Via(), AsyncExitStack())


def _token(origin: OriginSettings) -> None:
    """Asks the token server for a token."""
    import uvloop

    from proxy.service.origins import issued_tokens

    closing = AsyncExitStack()
    tokens = issued_tokens(origin, Via(), closing)

    async def ask() -> None:
        async with closing:
            await tokens.current()

    try:
        uvloop.run(ask())
    except NoToken as error:
        raise ConfigurationError(str(error)) from error


def _key(path: Path, setting: str = "access.key_file") -> None:
    from proxy.service.access import key_in

    key_in(path, setting)


def _authorities(path: Path) -> None:
    from proxy.origin.authority import LIMITS
    from proxy.origin.transport import Tls, Transport

    Transport(LIMITS, Tls(path))


def _jwt(settings: Settings) -> None:
    from proxy.service.tokens import verifier_of

    def unused() -> object:
        raise AssertionError("keys in a file need no issuer")

    verifier_of(settings.access.jwt, unused, AsyncExitStack())  # type: ignore[arg-type]


def _bearer(path: Path) -> None:
    from proxy.origin.credentials import token_in

    token_in(path)


def _admin_token(path: Path) -> None:
    from proxy.admin.lock import lock_of

    lock_of(path, is_open=False)


def _listeners(settings: Settings) -> None:
    from proxy.service.tls import tls_of

    tls_of(settings.listen.tls, is_required=True)


def _of_traces(said: TracesSettings) -> Iterator[tuple[Key, Callable[[], object]]]:
    from proxy.service.traces import ca_file_of, headers_of, library, way_of

    yield ("traces",), library
    yield ("traces", "headers_file"), partial(headers_of, said)
    yield ("traces", "ca_file"), partial(ca_file_of, said)
    yield ("traces", "via"), partial(way_of, said)


def _writable(path: Path) -> None:
    """Opens nothing, because a check leaves no file behind."""
    place = path if path.exists() else path.parent
    if path.is_dir() or not os.access(place, os.W_OK):
        raise ConfigurationError(f"{path}: can't be written")
