"""The section `access`: the readers of a cached frame. Imports pydantic."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from proxy.access.caller import Policy
from proxy.plan.profile import FrozenModel

Claim = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]


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


class AccessSettings(FrozenModel):
    """The readers of a cached frame."""

    policy: Policy = "ask-origin"
    """Those whom the origin lets read (`ask-origin`), the `credential` that fetched it, or all (`shared`)."""
    ttl: float = Field(60.0, ge=0)
    """Seconds for which the origin's yes counts for a caller and study; 0 asks for every frame."""
    cookies: tuple[Annotated[str, Field(pattern=r"^[!#-'*+.0-9A-Z^-z|~-]+$")], ...] | None = None
    """Cookies that tell callers apart beside `Authorization`; by default all, but only without it."""
    identity: Identity = IdentitySettings()
    """The name of a caller in bookkeeping: `token`, or claims of it."""
    key_file: Path | None = None
    """File of at least 32 random bytes, the key of the HMACs that stand for callers; else made at start."""

    @model_validator(mode="after")
    def _has_use(self) -> Self:
        for name in ("ttl", "cookies"):
            if name in self.model_fields_set and self.policy != "ask-origin":
                raise ValueError(f"{name}: only policy ask-origin has this setting")
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
