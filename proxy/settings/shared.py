"""The section `cache.shared`: a cache that replicas share. Imports pydantic."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from proxy.plan.kinds import FrozenModel, Seconds, Spelled, Variable
from proxy.wire.url import HOST_AND_PORT

_HOSTS = rf"{HOST_AND_PORT}(,{HOST_AND_PORT})*"
_FORM = rf"(valkey|redis)s?(\+(sentinel|cluster))?://{_HOSTS}(/[^\s?#@]*)?|unix:///[^\s?#@]+"
_SHOULD = (
    "must be valkey:// or valkeys:// and a host, such as valkeys://cache.example, or unix:// and a path; a "
    "port is from 1 to 65535, and a login goes into user and password_file"
)


class SharedSettings(FrozenModel):
    """A cache at a Valkey or Redis server behind memory and disk, which replicas share; off without a URL."""

    url: Annotated[str, Spelled(_FORM, _SHOULD)] | None = None
    """Server, such as valkeys://host, valkey+sentinel://a,b/primary or valkey+cluster://a,b; no password."""
    ttl: Seconds = Field(86400.0, ge=1)
    """Seconds for which the server keeps a frame; older than `cache.ttl`, it is used once revalidated."""
    first_ms: float = Field(8.0, gt=0, le=600000)
    """Maximum milliseconds that a viewer waits for the server before the proxy asks the origin."""
    wait_ms: float = Field(50.0, ge=0, le=600000)
    """Maximum milliseconds that a viewer waits for first bytes that another replica fetches."""
    user: Annotated[str, Spelled(r"[^\s]+", "must be a name without spaces")] | None = None
    """User of the server's ACL; without it the default user."""
    password_file: Path | None = None
    """File with the password, read at start."""
    password_env: Variable | None = None
    """Environment variable with the password."""
    ca_file: Path | None = None
    """Certificate authorities that a server with TLS is checked against, instead of the system's."""
    certificate_file: Path | None = None
    """The proxy's own certificate with its chain, for a server that requires one (mTLS)."""
    key_file: Path | None = None
    """Private key of `certificate_file`, not encrypted."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.url is None and self.model_fields_set:
            raise ValueError("url: must be set, or the section left out")
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("password_file: set either password_file or password_env")
        if self.user is not None and self.password_file is None and self.password_env is None:
            raise ValueError("user: needs either password_file or password_env")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file: certificate_file and key_file must be set together")
        if not (self.url or "").startswith(("valkeys", "rediss")) and (self.ca_file or self.certificate_file):
            raise ValueError("ca_file: only a valkeys or rediss url can have files for TLS")
        return self
