"""A token server that follows a test's script: it issues numbered tokens, and counts the questions."""

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

from tests.scripted_origin import Asked, Reply, ScriptedOrigin

CLIENT = "proxy:at/the clinic"
SECRET = "a pass:phrase ü"


class TokenServer(ScriptedOrigin):
    """Issues `token-1`, `token-2`, … to the one client that it knows."""

    def __init__(self, **told: Any) -> None:
        """`told` goes into each response; a value of None leaves a member out."""
        super().__init__(script=self._answer)
        self.told = told
        self.issued = 0
        self.is_down = False
        self.before: list[asyncio.Event] = []
        """Barriers before each body."""

    def settings(self, folder: Path, **more: Any) -> dict[str, Any]:
        """The section `oauth2` of an origin; writes the file with the secret, which blocks."""
        secret = folder / "secret"
        secret.write_text(f"{SECRET}\n", "utf-8")
        client = {"client_id": CLIENT, "client_secret_file": str(secret)}
        return {"token_url": f"{self.url}/token", **client, **more}

    def _answer(self, asked: Asked) -> Reply:
        if self.is_down:
            return Reply(503, {})
        kind, _, pair = asked.headers["authorization"].partition(" ")
        name, _, secret = b64decode(pair).decode().partition(":")
        if (kind, unquote_plus(name), unquote_plus(secret)) != ("Basic", CLIENT, SECRET):
            return Reply(401, {}, (b'{"error": "invalid_client", "error_description": "who?"}',))
        if (asked.method, form_of(asked)["grant_type"]) != ("POST", "client_credentials"):
            return Reply(400, {}, (b'{"error": "unsupported_grant_type"}',))
        self.issued += 1
        token = {
            "access_token": f"token-{self.issued}",
            "token_type": "Bearer",
            "expires_in": 3600,
        } | self.told
        told = {name: value for name, value in token.items() if value is not None}
        return Reply(200, {"content-type": "application/json"}, (*self.before, json.dumps(told).encode()))


def form_of(asked: Asked) -> dict[str, str]:
    """The arguments of a question."""
    return {name: values[0] for name, values in parse_qs(asked.body.decode(), strict_parsing=True).items()}
