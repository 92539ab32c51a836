"""The sender of an operator's order, for the audit."""

from fastapi import Request

from proxy.access.caller import Access
from proxy.telemetry.audit import sender_of
from proxy.wire.request import read_headers


def operator_of(request: Request, access: Access) -> dict[str, object]:
    """The fields of an audit's line: a digest of the credentials, the operator's token too, and addresses."""
    headers = request.scope["headers"]
    shown = [(name.removeprefix("proxy-"), value) for name, value in read_headers(headers)]
    return {"who": access.who(shown).hex(), **sender_of(request.client, headers)}
