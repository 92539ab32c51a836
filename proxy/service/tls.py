"""TLS of the listeners: certificates from files, which are read again when they change.

If client authorities are named, viewers have to show a certificate of one of them. On the admin listener it
is optional, because the kubelet and Prometheus have none; it opens what is locked, as the token does.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path

from proxy.errors import ConfigurationError
from proxy.origin.rotation import Files, Rotating
from proxy.settings.listening import ListenTls


def tls_of(tls: ListenTls, *, is_required: bool) -> Rotating[ssl.SSLContext] | None:
    """The certificates of a listener; None if it speaks plain HTTP. Raises `ConfigurationError`."""
    if tls.certificate_file is None or tls.key_file is None:
        return None
    return contexts(tls.certificate_file, tls.key_file, tls.client_ca_file, is_required=is_required)


def contexts(
    certificate: Path, key: Path, authorities: Path | None, *, is_required: bool
) -> Rotating[ssl.SSLContext]:
    """The newest good context of a listener. Reads the files, which blocks. Raises `ConfigurationError`.

    `is_required` is True if each client has to show a certificate of one of the `authorities`.
    """
    named = tuple(path for path in (certificate, key, authorities) if path is not None)

    def made(_: Sequence[bytes]) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password="")
            if authorities is not None:
                context.load_verify_locations(authorities)
                context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
        except (ssl.SSLError, OSError, ValueError) as error:
            words = "no certificates in PEM, or no key without a password that fits its certificate"
            raise ConfigurationError(f"{', '.join(map(str, named))}: {words}") from error
        return context

    return Rotating(Files(named, made))
