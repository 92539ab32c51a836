"""The section `access`: the readers of a cached frame. Imports pydantic."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from proxy.access.caller import Policy
from proxy.plan.kinds import Cookie, FrozenModel, Seconds, Spelled
from proxy.settings.urls import Url
from proxy.settings.via import Via, ViaSettings

Claim = Annotated[str, Spelled(r"[\x21-\x7e]+", "must be the name of a claim, such as sub")]


class IdentitySettings(FrozenModel):
    """The name of a caller in bookkeeping, such as for a fair share. It lets nobody read."""

    claims: tuple[Claim, ...] = ()
    """Claims of a JWT that name its bearer in bookkeeping, as `[iss, sub]`; by default the token does."""


Identity = Annotated[
    IdentitySettings,
    BeforeValidator(
        lambda value: {} if value == "token" else value,
        json_schema_input_type=Literal["token"] | IdentitySettings,
    ),
]
"""A section, or the word `token`."""


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""A signature with a public key. With a shared secret, each origin that gets a token could make others."""


class JwtSettings(FrozenModel):
    """Tokens whose signatures the proxy verifies; others get 401."""

    issuer: str | None = None
    """Issuer of the tokens, exactly as in their claim `iss`; without it the proxy verifies no token."""
    audience: str | None = None
    """Audience that the claim `aud` of a token has to name."""
    jwks_url: Url | None = None
    """URL of the issuer's public keys, a JSON Web Key Set; fetched again if a token names an unknown key."""
    jwks_file: Path | None = None
    """File with the issuer's public keys, instead of `jwks_url`; read again when the file changes."""
    algorithms: tuple[Algorithm, ...] = Field(("RS256", "PS256", "ES256", "EdDSA"), min_length=1)
    """Signature algorithms that are accepted."""
    leeway: Seconds = Field(10.0, ge=0, le=300)
    """Seconds by which the issuer's clock may differ from the proxy's."""
    claims: tuple[Claim, ...] = Field(("iss", "sub"), min_length=1)
    """Claims that together name a person; the origin's yes to one token of a person counts for all."""

    @property
    def is_set(self) -> bool:
        """True if tokens are verified."""
        return self.issuer is not None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not self.model_fields_set:
            return self
        if self.issuer is None or self.audience is None:
            raise ValueError("jwt: issuer and audience must be set")
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("jwt: set either jwks_url or jwks_file")
        return self


class AccessSettings(FrozenModel):
    """The readers of a cached frame."""

    policy: Policy = "ask-origin"
    """Those whom the origin lets read (`ask-origin`), the `credential` that fetched it, or all (`shared`)."""
    ttl: Seconds = Field(60.0, ge=0)
    """Seconds for which a yes counts for a caller and study; 0 asks for every frame."""
    cookies: tuple[Cookie, ...] | None = None
    """Cookies that tell callers apart beside `Authorization`; by default all, but only without it."""
    identity: Identity = IdentitySettings()
    """The name of a caller in bookkeeping: `token`, or claims of it."""
    jwt: JwtSettings = JwtSettings()
    """Tokens whose signatures the proxy verifies."""
    forward_auth: Url | None = None
    """URL of an external authorizer that has to let in each caller for each study, with any policy."""
    ca_file: Path | None = None
    """Certificate authorities to trust at `jwt.jwks_url` and `forward_auth` in addition to the system's."""
    via: Via = ViaSettings()
    """HTTP proxy on the way to `jwt.jwks_url` and `forward_auth`: its URL, or `environment`."""
    key_file: Path | None = None
    """File of at least 32 random bytes, the key of the HMACs that stand for callers; else made at start."""

    @model_validator(mode="after")
    def _has_use(self) -> Self:
        for name in ("ttl", "cookies"):
            is_used = self.policy == "ask-origin" or self.forward_auth is not None
            if name in self.model_fields_set and not is_used:
                raise ValueError(f"{name}: only policy ask-origin and forward_auth have this setting")
        if self.jwt.is_set and self.identity.claims:
            raise ValueError("identity: with jwt, jwt.claims names a caller, also in bookkeeping")
        return self

    @property
    def counted_cookies(self) -> frozenset[str] | None:
        """The names of the cookies that tell callers apart; None if all do, without `Authorization`."""
        return None if self.cookies is None else frozenset(self.cookies)


def section_of(value: object) -> object:
    """The section that a policy alone stands for. In the environment a section is JSON."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("{") else {"policy": value}


WhoMayRead = Annotated[
    AccessSettings, NoDecode, BeforeValidator(section_of, json_schema_input_type=Policy | AccessSettings)
]
"""A section, or its policy alone."""
