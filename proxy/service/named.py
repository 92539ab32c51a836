"""Opens all that a configuration names, as `serve` does at its start: files, variables, libraries of extras.

Each maker is imported only if a setting needs it, so that a short configuration is checked quickly.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.settings.model import Settings
from proxy.settings.sections import OriginSettings
from proxy.settings.tracing import TracesSettings

Key = tuple[str | int, ...]


def faults_of(settings: Settings) -> Iterator[tuple[Key, str]]:
    """Yields what `serve` would refuse at its start: the key of the setting, and what is wrong."""
    for key, opened in _openings(settings):
        try:
            opened()
        except ConfigurationError as error:
            yield key, str(error).removeprefix(".".join(map(str, key)) + ": ")


def _openings(settings: Settings) -> Iterator[tuple[Key, Callable[[], object]]]:
    for number, origin in enumerate(settings.origins):
        yield from _of_origin(("origins", number), origin)
    access, tls = settings.access, settings.listen.tls
    if access.key_file is not None:
        yield ("access", "key_file"), partial(_key, access.key_file)
    if access.ca_file is not None:
        yield ("access", "ca_file"), partial(_authorities, access.ca_file)
    if access.jwt.jwks_file is not None:
        yield ("access", "jwt", "jwks_file"), partial(_jwt, settings)
    if settings.admin.token_file is not None:
        yield ("admin", "token_file"), partial(_admin_token, settings.admin.token_file)
    if tls.certificate_file is not None:
        yield ("listen", "tls"), partial(_listeners, settings)
    if settings.audit.file not in (None, "-"):
        yield ("audit", "file"), partial(_writable, Path(str(settings.audit.file)))
    if settings.traces.endpoint is not None:
        yield from _of_traces(settings.traces)


def _of_origin(key: Key, origin: OriginSettings) -> Iterator[tuple[Key, Callable[[], object]]]:
    if origin.tls.ca_file or origin.tls.certificate_file:
        yield (*key, "tls"), partial(_transport, origin)
    own = origin.credentials
    names = ("bearer_file", "password_file", "password_env", "aws_region")
    for name in names:
        if getattr(own, name) is not None:
            yield (*key, "credentials", name), partial(_credentials, origin)


def _transport(origin: OriginSettings) -> None:
    from proxy.service.origins import rust_transport

    rust_transport(origin)


def _credentials(origin: OriginSettings) -> None:
    from proxy.service.origins import own_credentials

    own_credentials(origin)


def _key(path: Path) -> None:
    from proxy.service.access import key_in

    key_in(path)


def _authorities(path: Path) -> None:
    from proxy.origin.authority import LIMITS
    from proxy.origin.transport import Tls, Transport

    Transport(LIMITS, Tls(path))


def _jwt(settings: Settings) -> None:
    from proxy.service.tokens import verifier_of

    def unused() -> object:
        raise AssertionError("keys in a file need no issuer")

    verifier_of(settings.access.jwt, unused, AsyncExitStack())  # type: ignore[arg-type]


def _admin_token(path: Path) -> None:
    from proxy.admin.lock import lock_of

    lock_of(path, is_open=False)


def _listeners(settings: Settings) -> None:
    from proxy.service.tls import tls_of

    tls_of(settings.listen.tls, is_required=True)


def _of_traces(said: TracesSettings) -> Iterator[tuple[Key, Callable[[], object]]]:
    from proxy.service.traces import ca_file_of, headers_of, library

    yield ("traces",), library
    yield ("traces", "headers_file"), partial(headers_of, said)
    yield ("traces", "ca_file"), partial(ca_file_of, said)


def _writable(path: Path) -> None:
    """Opens nothing, because a check leaves no file behind."""
    place = path if path.exists() else path.parent
    if path.is_dir() or not os.access(place, os.W_OK):
        raise ConfigurationError(f"{path}: can't be written")
