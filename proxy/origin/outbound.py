"""The HTTP proxy on the way to a server, which many networks require for traffic that leaves them.

It gets a request to an http origin with the whole URL in its first line (RFC 9112 3.2.2). To an https origin
it opens a tunnel (RFC 9110 9.3.6), in which the proxy speaks TLS with the origin itself. Its login never goes
to the origin, and no viewer's `Proxy-Authorization` goes to it.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import BuilderError
from pyreqwest.proxy import ProxyBuilder

from proxy.errors import ConfigurationError
from proxy.origin.credentials import password_of
from proxy.origin.rotation import Files

ENVIRONMENT = "environment"
"""In place of a URL: what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """An HTTP proxy between us and a server."""

    url: str
    """Its URL, or `ENVIRONMENT`."""
    user: str = ""
    """User of its login (RFC 7617); empty if it asks for none."""
    password_file: Path | None = None
    """File with the user's password."""


class Way:
    """How a client connects: straight, or through an HTTP proxy."""

    def __init__(self, outbound: Outbound | None, password: bytes | None) -> None:
        """`password` is the content of the file. Raises `ConfigurationError`."""
        self._outbound = outbound
        self._password = "" if password is None else _read(outbound, password)
        self.set_on(ClientBuilder())

    def set_on(self, builder: ClientBuilder) -> ClientBuilder:
        """The builder, which connects this way. Without it, it would obey the environment."""
        outbound = self._outbound
        if outbound is None:
            return builder.no_proxy()
        if outbound.url == ENVIRONMENT:
            return builder
        try:
            proxy = ProxyBuilder.all(outbound.url)
        except (BuilderError, ValueError) as error:
            raise ConfigurationError("the URL of the HTTP proxy has no host, or no valid port") from error
        return builder.proxy(proxy.basic_auth(outbound.user, self._password) if outbound.user else proxy)


def url_of(outbound: Outbound) -> str:
    """Its URL with the login in it, for libraries that want it so, or `ENVIRONMENT`.

    Reads the file, which blocks. Raises `ConfigurationError`.
    """
    path = outbound.password_file
    if not outbound.user or path is None:
        return outbound.url
    password = Files((path,), lambda contents: password_of(contents[0], str(path))).read()
    scheme, _, rest = outbound.url.partition("://")
    return f"{scheme}://{quote(outbound.user, safe='')}:{quote(password, safe='')}@{rest}"


def _read(outbound: Outbound | None, password: bytes) -> str:
    assert outbound is not None
    return password_of(password, str(outbound.password_file))
