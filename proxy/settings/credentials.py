"""The proxy's own credentials at an origin, as frozen values. Imports pydantic."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from proxy.plan.kinds import FrozenModel, Spelled, UserName, Variable
from proxy.settings.urls import Url
from proxy.settings.via import Via, ViaSettings


class OAuth2Settings(FrozenModel):
    """Tokens that a token server issues to the proxy (OAuth 2.0 client credentials)."""

    token_url: Url | None = None
    """URL of the token server's token endpoint."""
    client_id: str | None = Field(None, min_length=1)
    """Name of the proxy at the token server."""
    client_secret_file: Path | None = None
    """File with the secret of `client_id`, read again when the file changes."""
    scope: (
        Annotated[str, Spelled(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*", "must be words with one space between")]
        | None
    ) = None
    """Scope to ask for, as words with spaces; by default the token server chooses."""
    ca_file: Path | None = None
    """Certificate authorities to trust at `token_url` in addition to the system's."""
    via: Via = ViaSettings()
    """HTTP proxy on the way to the token server: its URL, or `environment`."""

    @property
    def is_set(self) -> bool:
        """True if the proxy asks for tokens."""
        return self.token_url is not None

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.model_fields_set and None in (self.token_url, self.client_id, self.client_secret_file):
            raise ValueError("oauth2: token_url, client_id and client_secret_file must be set together")
        return self


_OF_A_USER: Any = {"password_file": ["user"], "password_env": ["user"]}


class CredentialsSettings(FrozenModel):
    """The proxy's own credentials, which an origin gets instead of the viewers'; at most one kind."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": _OF_A_USER})

    bearer_file: Path | None = None
    """File with a bearer token, read again on change. Everybody who reaches the proxy can use the token."""
    user: UserName | None = None
    """User for Basic authentication; the password is in `password_file` or `password_env`."""
    password_file: Path | None = None
    """File with the user's password, read again when the file changes."""
    password_env: Variable | None = None
    """Environment variable with the user's password."""
    aws_region: Annotated[str, Spelled(r"[a-z0-9-]+", "must be a region, such as us-east-1")] | None = None
    """Region to sign requests for (AWS Signature Version 4), with the keys that botocore finds."""
    aws_service: Annotated[str, Spelled(r"[a-z0-9-]+", "must be a service's name")] = "medical-imaging"
    """AWS service to sign requests for."""
    oauth2: OAuth2Settings = OAuth2Settings()
    """Tokens of a token server."""

    @property
    def is_set(self) -> bool:
        """True if there are credentials."""
        return any(self._kinds)

    @property
    def _kinds(self) -> tuple[object, ...]:
        return self.bearer_file, self.user, self.aws_region, self.oauth2.token_url

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        passwords = (self.password_file, self.password_env)
        if sum(kind is not None for kind in self._kinds) > 1:
            raise ValueError("credentials: set only one of bearer_file, user, aws_region and oauth2")
        if sum(password is not None for password in passwords) != (self.user is not None):
            raise ValueError("credentials: user needs either password_file or password_env")
        return self
