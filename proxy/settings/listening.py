"""The settings of the two listeners, as frozen values. Imports pydantic."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from proxy.plan.kinds import BOTH, ByteCount, FrozenModel, Seconds, Spelled
from proxy.settings.urls import Origin

KIB = 1024

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):([0-9]{1,5})", re.ASCII)


def split_address(text: str) -> tuple[str, int]:
    """Splits an address into host and port. Raises `ValueError`.

    >>> split_address("127.0.0.1:8080"), split_address("[::1]:0")
    (('127.0.0.1', 8080), ('::1', 0))
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be host:port, such as 127.0.0.1:8080")
    return match[1] or match[2], int(match[3])


def _checked_address(text: str) -> str:
    split_address(text)
    return text


Address = Annotated[
    str,
    AfterValidator(_checked_address),
    WithJsonSchema({"type": "string", "pattern": rf"^(?:{_ADDRESS.pattern})$"}),
]
"""The address of a listener; port 0 takes a free port."""


Host = Annotated[str, Spelled(r"\*|[A-Za-z0-9._-]+", "must be a host name without a port, or *")]


class ListenTls(FrozenModel):
    """TLS of both listeners; files are PEM and are read again when they change."""

    model_config = ConfigDict(
        json_schema_extra={"dependentRequired": BOTH | {"client_ca_file": ["key_file"]}}
    )

    certificate_file: Path | None = None
    """Certificate of the proxy, with its chain; none is plain HTTP."""
    key_file: Path | None = None
    """Private key of `certificate_file`, not encrypted."""
    client_ca_file: Path | None = None
    """Authorities of client certificates. Viewers must show one; for the admin it replaces the token."""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file: certificate_file and key_file must be set together")
        if self.client_ca_file is not None and self.certificate_file is None:
            raise ValueError("client_ca_file: needs certificate_file and key_file")
        return self


class Listen(FrozenModel):
    """The two listeners."""

    viewers: Address = "127.0.0.1:8080"
    """Address of the listener for viewers, as host:port."""
    admin: Address = "127.0.0.1:8081"
    """Address of the listener for metrics, health and plans, as host:port."""
    tls: ListenTls = ListenTls()
    """Certificates of both listeners; with them, they speak https instead of http."""
    grace: Seconds = Field(30.0, ge=0)
    """Seconds for running responses to finish after SIGTERM."""
    hosts: tuple[Host, ...] = ()
    """Host names of the proxy, without ports, besides loopback and IP addresses; `*` is any name."""
    public_url: Origin | None = None
    """URL at which viewers reach the proxy, for `forwarded` and `rewrite`; by default each request tells."""
    url_bytes: ByteCount = Field(16 * KIB, ge=KIB)
    """Maximum bytes of a request's URL."""
    header_bytes: ByteCount = Field(32 * KIB, ge=KIB)
    """Maximum bytes of all headers of a request; also of its chunk extensions and trailers."""
    header_seconds: Seconds = Field(10.0, gt=0)
    """Maximum seconds from a request's first byte to the end of its headers."""
    body_rate: ByteCount = Field(500, ge=0)
    """Minimum bytes per second of a request's body, on average; 0 is no minimum."""
    read_rate: ByteCount = Field(KIB, ge=0)
    """Minimum bytes per second at which a viewer reads a response, over `read_seconds`; 0 is no minimum."""
    read_seconds: Seconds = Field(300.0, gt=0)
    """Seconds over which the rate of a viewer that reads slowly is measured."""
    compress: Literal["off", "gzip", "zstd"] = "off"
    """Compress plain or rewritten metadata and searches; `zstd` uses `gzip` for viewers without it."""
    pause: Seconds = Field(0.03, ge=0)
    """Pause in seconds after the first 128 KiB of a frame of 2 MiB or more, so that a viewer can draw it."""


class AdminSettings(FrozenModel):
    """Access to the page for operators and to `/v1/…` on the admin listener; by default, nobody has it."""

    token_file: Path | None = None
    """File with the token that requests have to show as a bearer; read again when the file changes."""
    open: bool = False
    """Admit everybody. Possible only if `listen.admin` is a loopback address; for trials on one machine."""

    body_bytes: ByteCount = Field(4096 * KIB, ge=KIB)
    """Maximum bytes of a request's body; a plan that lists 10,000 frames takes 1 MiB."""
    body_seconds: Seconds = Field(60.0, gt=0)
    """Maximum seconds for a request's body to arrive."""

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.open and self.token_file is not None:
            raise ValueError("admin: set either token_file or open")
        return self
