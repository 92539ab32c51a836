"""An issuer of tokens: it signs them with keys made in the test, and publishes the public ones."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.scripted_origin import Asked, Reply, ScriptedOrigin

HOUR = 3600
ISSUER = "https://login.example"
AUDIENCE = "pacs"
ELLIPTIC = jwt.get_algorithm_by_name("ES256")


def public_of(key: Any, name: str, algorithm: str = "ES256") -> dict[str, Any]:
    """The public key as JSON."""
    told = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**told, "kid": name, "use": "sig"}


class Issuer(ScriptedOrigin):
    """Publishes its keys at `/keys`, and signs with the newest one."""

    def __init__(self) -> None:
        super().__init__(script=self._answer)
        self.private: dict[str, Any] = {}
        self.is_down = False
        self.turn("first")

    def turn(self, name: str) -> None:
        """Signs with another key from now on, and forgets the ones before."""
        self.private = {name: ec.generate_private_key(ec.SECP256R1())}

    @property
    def keys(self) -> bytes:
        """The key set that it publishes."""
        return json.dumps({"keys": [public_of(key, name) for name, key in self.private.items()]}).encode()

    def _answer(self, asked: Asked) -> Reply | None:
        if self.is_down:
            return Reply(503, {})
        return Reply(200, {"content-type": "application/jwk-set+json"}, (self.keys,))

    def token(self, sub: str | None = "ada", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token; each claim can be another, or left out by None."""
        name, key = next(reversed(self.private.items()))
        return self.signed(key, "ES256", {"kid": name} | (header or {}), sub=sub, **claims)

    @staticmethod
    def signed(key: Any, algorithm: str, header: dict[str, Any], **claims: Any) -> str:
        """A token with any signature."""
        now = int(time.time())
        told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + HOUR} | claims
        kept = {claim: value for claim, value in told.items() if value is not None}
        return jwt.encode(kept, key, algorithm, header)


def rsa_key() -> Any:
    return rsa.generate_private_key(65537, 2048)


def edwards_key() -> Any:
    return ed25519.Ed25519PrivateKey.generate()
