"""The sections of the configuration, each a frozen value. A door to pydantic."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from proxy.codecs.jobs import Alternate, Codec, MadeHere, RenderedBy
from proxy.plan import values
from proxy.plan.profile import ByteCount, FrozenModel

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):([0-9]{1,5})", re.ASCII)


def split_address(text: str) -> tuple[str, int]:
    """Host and port. Raises `ValueError`.

    >>> split_address("127.0.0.1:8080"), split_address("[::1]:0")
    (('127.0.0.1', 8080), ('::1', 0))
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise ValueError("host:port, such as 127.0.0.1:8080")
    return match[1] or match[2], int(match[3])


def _checked_address(text: str) -> str:
    split_address(text)
    return text


Scale = Annotated[tuple[int, int], BeforeValidator(values.scale), PlainSerializer(values.scale_written)]
"""By how much width and height are divided, or the most pixels a side."""

Address = Annotated[str, AfterValidator(_checked_address)]
"""Where a listener listens; port 0 takes a free one."""

Ready = Literal["started", "any-origin", "each-origin"]
"""What the service needs in order to be ready."""


class Listen(FrozenModel):
    """The two listeners."""

    viewers: Address = "127.0.0.1:8080"
    """For viewers, as host:port."""
    admin: Address = "127.0.0.1:8081"
    """For metrics and health, as host:port."""
    grace: float = Field(30.0, ge=0)
    """Seconds that running answers have to finish after SIGTERM."""
    hosts: tuple[Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9._-]+)$")], ...] = ()
    """Names, without ports, by which viewers reach the proxy, beside loopback's and addresses; `*` is any."""
    url_bytes: ByteCount = Field(16 * KIB, ge=KIB)
    """Bytes of the longest URL that is taken."""
    header_bytes: ByteCount = Field(32 * KIB, ge=KIB)
    """Bytes of all headers of a request that are taken; of chunk extensions and trailers likewise."""
    header_seconds: float = Field(10.0, gt=0)
    """Seconds from the first byte of a request to the last of its headers."""
    pause: float = Field(0.03, ge=0)
    """Seconds for a viewer to draw the first 128 KiB of a frame of 2 MiB or more, before it gets the rest."""


class Timeouts(FrozenModel):
    """How long an origin may take."""

    connect: float = Field(5.0, gt=0)
    """Seconds to a connection."""
    first_byte: float = Field(30.0, gt=0)
    """Seconds to the headers of an answer."""
    stall: float = Field(30.0, gt=0)
    """Seconds to each chunk after them."""


class Limits(FrozenModel):
    """How much is asked of an origin, and taken from it."""

    in_flight: int = Field(32, ge=3)
    """Fetches under way at once; a quarter is kept for viewers without a picture, plans have one half."""
    per_second: int | None = Field(None, ge=1)
    """Fetches of frames that may begin in any second; none is no limit."""
    frame_bytes: ByteCount = Field(256 * MIB, ge=1)
    """Bytes of the largest frame that is taken."""


class TlsSettings(FrozenModel):
    """How the connection to an https origin is made; files are PEM, and read again when they change."""

    ca_file: Path | None = None
    """Authorities that are trusted beside the system's own."""
    certificate_file: Path | None = None
    """The proxy's own certificate with its chain, for an origin that asks for one (mTLS)."""
    key_file: Path | None = None
    """The private key of that certificate, not encrypted."""
    http2: bool = True
    """Whether HTTP/2 is spoken to an origin that speaks it."""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file: goes with key_file, neither without the other")
        return self


class CredentialsSettings(FrozenModel):
    """Credentials of the proxy's own, which an origin then gets instead of the viewers'; one kind at most."""

    bearer_file: Path | None = None
    """File that holds a bearer token, read again when it changes. Whoever reaches the proxy reads with it."""
    user: str | None = Field(None, pattern=r"^[^:\x00-\x1f\x7f]+$")
    """User for Basic authentication; the password is in `password_file` or `password_env`."""
    password_file: Path | None = None
    """File that holds the user's password, read again when it changes."""
    password_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the user's password."""
    aws_region: str | None = Field(None, pattern=r"^[a-z0-9-]+$")
    """Region to sign requests for (AWS Signature Version 4), with the keys that botocore finds."""
    aws_service: str = Field("medical-imaging", pattern=r"^[a-z0-9-]+$")
    """Service to sign requests for."""

    @property
    def is_set(self) -> bool:
        """Whether there are any."""
        return any((self.bearer_file, self.user, self.aws_region))

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        kinds = (self.bearer_file, self.user, self.aws_region)
        passwords = (self.password_file, self.password_env)
        if sum(kind is not None for kind in kinds) > 1:
            raise ValueError("credentials: one of bearer_file, user and aws_region")
        if sum(password is not None for password in passwords) != (self.user is not None):
            raise ValueError("credentials: user goes with one of password_file and password_env")
        return self


class ForwardSettings(FrozenModel):
    """What an origin gets of a viewer's credentials."""

    authorization: bool = True
    """Whether the origin gets the viewer's `Authorization`."""
    cookies: tuple[Annotated[str, Field(pattern=r"^[!#-'*+.0-9A-Z^-z|~-]+$")], ...] | None = None
    """Cookies that the origin gets, by name, or `*`; unless set, an only origin gets all, others none."""


class OriginSettings(FrozenModel):
    """One DICOMweb server."""

    name: str = Field("origin", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """The first segment of the path under which it is served."""
    url: str = Field(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")
    """Its base: what stands before /studies."""
    default: bool = False
    """Served without its name in the path too; the only origin always is."""
    profile: str | None = None
    """The profile of its frames, instead of the default one."""
    labels: Literal["bytes", "origin"] = "bytes"
    """Whether a frame's transfer syntax is told by its bytes, or HTJ2K keeps the label that it has there."""
    rendered: RenderedBy = "origin"
    """Who answers `/rendered` and `/thumbnail`: the origin, the proxy, or the proxy if-missing there."""
    trust: Literal["http", "dicom"] = "http"
    """What tells how long its frames are kept: `Cache-Control` (`http`), or only `cache.ttl` (`dicom`)."""
    timeouts: Timeouts = Timeouts()
    """How long it may take."""
    limits: Limits = Limits()
    """How much is asked of it."""
    tls: TlsSettings = TlsSettings()
    """How the connection to it is made."""
    credentials: CredentialsSettings = CredentialsSettings()
    """The proxy's own credentials there."""
    forward: ForwardSettings = ForwardSettings()
    """What it gets of a viewer's credentials."""

    @model_validator(mode="after")
    def _has_tls(self) -> Self:
        if self.url.startswith("http:") and (self.tls.ca_file or self.tls.certificate_file):
            raise ValueError("tls: is for an origin whose url begins with https")
        if self.credentials.is_set and "forward" in self.model_fields_set:
            raise ValueError("forward: an origin that has credentials of the proxy's own gets no viewer's")
        return self

    @property
    def has_own_proof(self) -> bool:
        """Whether the proxy has credentials of its own there, with which each of its callers reads."""
        own = self.credentials
        return any((own.bearer_file, own.user, own.aws_region, self.tls.certificate_file))


class CorsSettings(FrozenModel):
    """Pages of viewers that come from elsewhere."""

    origins: tuple[Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")], ...] = ()
    """Where they come from, such as https://viewer.example; `*` is anywhere, without credentials."""
    headers: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], ...] = ()
    """Request headers that they may send beside those that viewers need, such as X-Site-ID."""
    credentials: bool = False
    """Whether they may send cookies and `Authorization` along."""
    private_network: bool = False
    """Whether public pages may reach the proxy on a private network."""
    max_age: int = Field(600, ge=0)
    """Seconds for which a browser may keep what a preflight answered."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if "*" in self.origins and self.credentials:
            raise ValueError("cors: credentials go with origins that are named, not with *")
        return self


class AlternateSettings(FrozenModel):
    """Another representation of every frame, below a path of its own."""

    path: str = Field(pattern=r"^/[A-Za-z0-9][A-Za-z0-9._-]*/$")
    """What stands in URLs instead of `/frames/`, such as `/jlsThumbnail/`."""
    made: MadeHere = "always"
    """Whether it is made here: always, where the origin refuses that path, or never, as it has its own."""
    codec: Codec = "htj2k"
    """How it is encoded: htj2k, jpegls, or jpeg, which has 8 bits and loses some."""
    scale: Scale = (1, 0)
    """Its size: a part of width and height (`1/4`) or area (`1/16 area`), or `≤ 512` pixels a side."""
    near: int = Field(0, ge=0, le=255)
    """JPEG-LS: by how much a value may differ; 0 is lossless."""
    step: float = Field(0.0, ge=0, lt=1)
    """HTJ2K: the quantization step, as a part of the range of values; 0 is lossless."""
    quality: int = Field(90, ge=1, le=100)
    """JPEG: how good."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        taken = ("frames", "metadata", "rendered", "thumbnail", "bulkdata", "series", "instances", "studies")
        if self.path.strip("/") in taken:
            raise ValueError(f"path: not one of {', '.join(taken)}")
        for name, codec in (("near", "jpegls"), ("step", "htj2k"), ("quality", "jpeg")):
            if name in self.model_fields_set and self.codec != codec:
                raise ValueError(f"{name}: goes with codec {codec}")
        return self

    @property
    def alternate(self) -> Alternate:
        """What is made."""
        scale, at_most = self.scale
        return Alternate(self.codec, self.near, self.step, self.quality, scale, at_most)


class WorkersSettings(FrozenModel):
    """The processes that decode and encode alternates, begun when they are needed."""

    number: int = Field(2, ge=1, le=256)
    """How many there are at once."""
    memory: ByteCount = Field(2 * GIB, ge=256 * MIB)
    """Address space that each may take."""
    seconds: float = Field(30.0, gt=0)
    """How long each may take over one frame."""


class CacheSettings(FrozenModel):
    """What is kept in memory."""

    bytes: ByteCount = Field(GIB, ge=MIB)
    """The budget for all frames; frames that are being fetched come on top."""
    first_share: float = Field(0.5, ge=0, le=1)
    """The part of the budget up to which first bytes push out rests."""
    ttl: float = Field(3600.0, gt=0)
    """Seconds after which a frame is fetched anew."""


class Log(FrozenModel):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["json", "text"] = "json"
    """One JSON object a line, or a line for people."""
    uids: bool = False
    """Whether study, series and instance UIDs are written; they can lead to a patient."""
