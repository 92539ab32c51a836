"""The section `via`, which says how to reach a server. Imports pydantic."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, model_validator

from proxy.plan.kinds import FrozenModel, Spelled, UserName, Written
from proxy.wire.url import HOST_AND_PORT, has_host

_FORM = rf"environment|https?://{HOST_AND_PORT}/?"
_SHOULD = (
    "must be http:// or https:// and a host, such as http://proxy.example:3128, or environment; a port is "
    "from 1 to 65535, and a login goes into user and password_file"
)


def _is_way(url: str) -> bool:
    return url == "environment" or has_host(url)


class ViaSettings(FrozenModel):
    """The HTTP proxy on the way to a server; only a URL or `environment` may stand in place of the keys."""

    model_config = ConfigDict(
        json_schema_extra={"dependentRequired": {"user": ["url", "password_file"], "password_file": ["user"]}}
    )

    url: Annotated[str, Spelled(_FORM, _SHOULD, _is_way)] | None = None
    """URL of the HTTP proxy, or `environment` for HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""
    user: UserName | None = None
    """User at the HTTP proxy, for Basic authentication."""
    password_file: Path | None = None
    """File with the user's password, read again when the file changes."""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user: user and password_file must be set together")
        if self.user is not None and self.url in (None, "environment"):
            raise ValueError("user: needs a url; a login of `environment` stands in the variable")
        return self

    @property
    def words(self) -> str:
        """The way, to stand behind a server's URL; empty if it is direct.

        >>> ViaSettings(url="http://proxy.example:3128").words
        ' through http://proxy.example:3128'
        """
        where = "the HTTP proxy of the environment" if self.url == "environment" else self.url
        return "" if where is None else f" through {where}"


def _via(value: object) -> object:
    """A URL alone stands for the section."""
    return {"url": value} if isinstance(value, str) else value


def ways_of(model: BaseModel, at: str = "") -> Iterator[tuple[str, ViaSettings]]:
    """Yields each HTTP proxy in a configuration, with the key of the section that it is in."""
    for name, value in model:
        if isinstance(value, ViaSettings) and value.url is not None:
            yield at, value
        listed = value if isinstance(value, tuple) else (value,)
        for number, each in enumerate(listed):
            if isinstance(each, BaseModel):
                here = f"{name}[{getattr(each, 'name', number)}]" if listed is value else name
                yield from ways_of(each, f"{at}.{here}" if at else here)


Via = Annotated[ViaSettings, Written(_via, _FORM)]
"""The section, or only its URL."""
