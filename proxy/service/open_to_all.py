"""Warns of origins whose credentials all who reach the proxy can use."""

from proxy.settings.model import Settings


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
