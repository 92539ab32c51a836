"""Builds from the settings the verifier of tokens. Import it only if a setting needs it: it loads PyJWT."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from proxy.access.keys import FileKeys, KeySet, KeySource, PublishedKeys, read_keys
from proxy.access.tokens import Terms, Verifier
from proxy.errors import ConfigurationError
from proxy.origin.authority import Authority
from proxy.origin.rotation import Files, Rotating
from proxy.settings.access import JwtSettings


def verifier_of(said: JwtSettings, issuer: Callable[[], Authority], closing: AsyncExitStack) -> Verifier:
    """The verifier. `issuer` makes the connection to an issuer that publishes its keys.

    Reads files, which blocks. Raises `ConfigurationError`.
    """
    assert said.issuer is not None
    assert said.audience is not None
    terms = Terms(said.issuer, said.audience, frozenset(said.algorithms), said.leeway, said.claims)
    if said.jwks_file is not None:
        return Verifier(terms, _keys_in(said.jwks_file))
    keys = PublishedKeys(issuer().get, said.jwks_url or "")
    closing.push_async_callback(keys.aclose)
    return Verifier(terms, keys)


def _keys_in(path: Path) -> KeySource:
    def made(contents: Sequence[bytes]) -> KeySet:
        try:
            return read_keys(contents[0])
        except ValueError as error:
            raise ConfigurationError(f"access.jwt.jwks_file: {path}: {error}") from error

    rotating = Rotating(Files((path,), made))
    return FileKeys(rotating.current, rotating.known)
