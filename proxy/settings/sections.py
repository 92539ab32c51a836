"""The sections of the configuration as frozen values. Imports pydantic."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from proxy.codecs.jobs import Alternate, Codec, FramesAs, MadeHere, RenderedBy
from proxy.plan.kinds import (
    BOTH,
    ByteCount,
    Cookie,
    FrozenModel,
    Scale,
    Seconds,
    Spelled,
    WholeSeconds,
)
from proxy.settings.credentials import CredentialsSettings
from proxy.settings.urls import Origin, Page
from proxy.settings.via import Via, ViaSettings
from proxy.wire.public import Forwarded

KIB = 1024
MIB = 1024**2
GIB = 1024**3

Header = Annotated[str, Spelled(r"[A-Za-z0-9_-]+", "must be the name of a header, such as X-Site-ID")]
Ready = Literal["started", "any-origin", "each-origin"]
"""Condition for the proxy to be ready."""


class Timeouts(FrozenModel):
    """Time limits for an origin."""

    connect: Seconds = Field(5.0, gt=0)
    """Maximum seconds to connect to the origin."""
    first_byte: Seconds = Field(30.0, gt=0)
    """Maximum seconds until the headers of the origin's response arrive."""
    stall: Seconds = Field(30.0, gt=0)
    """Maximum seconds between two chunks of the origin's response."""
    least_rate: ByteCount = Field(1024, ge=0)
    """Minimum bytes per second of a response over `stall` seconds; a slower one counts as silent."""


class Limits(FrozenModel):
    """Limits for requests to an origin and for its responses."""

    in_flight: int = Field(32, ge=3)
    """Maximum concurrent fetches: 1/4 is reserved for viewers without a picture; plans use at most 1/2."""
    per_second: int | None = Field(None, ge=1)
    """Maximum frame fetches started per second; none means no limit."""
    forwarded: int = Field(256, ge=1)
    """Maximum forwarded requests that wait for the origin, and half as many uploads; one more gets 503."""
    frame_bytes: ByteCount = Field(256 * MIB, ge=1)
    """Maximum bytes of a frame; a larger frame is refused."""
    metadata_bytes: ByteCount = Field(128 * MIB, ge=1)
    """Maximum bytes of a series' metadata, if the proxy needs it for itself; more is refused."""


class TlsSettings(FrozenModel):
    """TLS for an https origin; files are PEM and are read again when they change."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": BOTH})

    ca_file: Path | None = None
    """Certificate authorities to trust in addition to the system's."""
    certificate_file: Path | None = None
    """The proxy's own certificate with its chain, for an origin that requires one (mTLS)."""
    key_file: Path | None = None
    """Private key of `certificate_file`, not encrypted."""
    http2: bool = True
    """Use HTTP/2 if the origin supports it."""

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file: certificate_file and key_file must be set together")
        return self


class ForwardSettings(FrozenModel):
    """The parts of a viewer's credentials that an origin gets."""

    authorization: bool = True
    """Forward the viewer's `Authorization` to the origin."""
    cookies: tuple[Cookie, ...] | None = None
    """Cookies to forward, by name, or `*`; the default is all if there is only one origin, else none."""


class OriginSettings(FrozenModel):
    """One DICOMweb server."""

    name: Annotated[
        str, Spelled(r"[a-z0-9][a-z0-9-]{0,62}", "must be lower-case letters, digits and -, at most 63")
    ] = "origin"
    """Name of the origin, which is the first segment of its path at the proxy."""
    url: Origin
    """Base URL of the origin, without /studies."""
    default: bool = False
    """Serve the origin without its name in the path too; a single origin always is."""
    profile: str | None = None
    """Profile for frames of this origin, instead of the default profile."""
    labels: Literal["bytes", "origin"] = "bytes"
    """Source of a frame's transfer syntax: its `bytes`, or for HTJ2K the label that the `origin` sends."""
    frames: FramesAs = "origin"
    """Form of frames: as the `origin` has them, or `htj2k-if-not`: the proxy makes HTJ2K of other forms."""
    rendered: RenderedBy = "origin"
    """Server of `/rendered` and `/thumbnail`: origin, proxy, or the proxy `if-missing` at the origin."""
    trust: Literal["http", "dicom"] = "http"
    """Lifetime of cached frames: the origin's `Cache-Control` (`http`), or only `cache.ttl` (`dicom`)."""
    forwarded: Forwarded | None = None
    """Headers that tell the origin the URL at the proxy: `x-forwarded`, or `Forwarded` by `rfc7239`."""
    rewrite: bool = False
    """Replace the origin's base URL in its JSON, so that `BulkDataURI` and the like lead to the proxy."""
    timeouts: Timeouts = Timeouts()
    """Time limits for the origin."""
    limits: Limits = Limits()
    """Limits for requests to the origin."""
    tls: TlsSettings = TlsSettings()
    """TLS to the origin."""
    via: Via = ViaSettings()
    """HTTP proxy on the way to the origin: its URL, or `environment`."""
    credentials: CredentialsSettings = CredentialsSettings()
    """The proxy's own credentials at the origin."""
    forward: ForwardSettings = ForwardSettings()
    """The parts of a viewer's credentials that the origin gets."""

    @model_validator(mode="after")
    def _has_tls(self) -> Self:
        if self.url.startswith("http:") and (self.tls.ca_file or self.tls.certificate_file):
            raise ValueError("tls: only an origin with an https url can have tls settings")
        if self.credentials.is_set and "forward" in self.model_fields_set:
            raise ValueError(
                "forward: an origin with the proxy's own credentials gets no viewer's credentials"
            )
        return self

    @property
    def is_converted(self) -> bool:
        """True if the proxy makes HTJ2K of frames that the origin has in another form."""
        return self.frames == "htj2k-if-not"

    @property
    def has_own_proof(self) -> bool:
        """True if the proxy has its own credentials at the origin, so that every caller reads with them."""
        return self.credentials.is_set or self.tls.certificate_file is not None


class CorsSettings(FrozenModel):
    """Cross-origin access for viewers' pages."""

    origins: tuple[Page, ...] = ()
    """Origins of viewers' pages, such as https://viewer.example; `*` is any origin, without credentials."""
    headers: tuple[Header, ...] = ()
    """Request headers that pages may send in addition to those that viewers need, such as X-Site-ID."""
    credentials: bool = False
    """Let pages send cookies and `Authorization`."""
    private_network: bool = False
    """Let public pages reach the proxy on a private network."""
    max_age: WholeSeconds = Field(600, ge=0)
    """Seconds that a browser may cache the response to a preflight."""

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if "*" in self.origins and self.credentials:
            raise ValueError("cors: credentials need named origins, not *")
        return self


class AlternateSettings(FrozenModel):
    """An alternate representation of every frame, at its own path."""

    path: Annotated[
        str, Spelled(r"/[A-Za-z0-9][A-Za-z0-9._-]*/", "must be one segment between slashes: /jls/")
    ]
    """Path segment in URLs in place of `/frames/`, such as `/jlsThumbnail/`."""
    made: MadeHere = "if-missing"
    """When the proxy makes the alternate: `always`, `if-missing` (the origin refuses it), or `never`."""
    codec: Codec = "htj2k"
    """Codec of the alternate: `htj2k`, `jpegls`, or `jpeg`, which has 8 bits and is lossy."""
    scale: Scale = (1, 0)
    """Size: a fraction of width and height (`1/4`) or of the area (`1/16 area`), or `≤ 512` pixels a side."""
    near: int = Field(0, ge=0, le=255)
    """JPEG-LS only: maximum difference of a value; 0 is lossless."""
    step: float = Field(0.0, ge=0, lt=1)
    """HTJ2K only: quantization step as a fraction of the range of values; 0 is lossless."""
    quality: int = Field(90, ge=1, le=100)
    """JPEG only: quality, 1 to 100."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        taken = ("frames", "metadata", "rendered", "thumbnail", "bulkdata", "series", "instances", "studies")
        if self.path.strip("/") in taken:
            raise ValueError(f"path: must not be one of {', '.join(taken)}")
        for name, codec in (("near", "jpegls"), ("step", "htj2k"), ("quality", "jpeg")):
            if name in self.model_fields_set and self.codec != codec:
                raise ValueError(f"{name}: only codec {codec} has this setting")
        return self

    @property
    def alternate(self) -> Alternate:
        """The alternate that this setting describes."""
        scale, at_most = self.scale
        return Alternate(self.codec, self.near, self.step, self.quality, scale, at_most)

    @property
    def words(self) -> str:
        """The representation that viewers get at the path.

        >>> AlternateSettings(path="/htj2k/").words
        "the origin's own, or if it has none, lossless HTJ2K in full size, made by the proxy"
        """
        if self.made == "never":
            return "the origin's own; the proxy makes none"
        lossy = {
            "jpegls": f"JPEG-LS with errors up to {self.near}",
            "jpeg": f"JPEG of quality {self.quality}",
        }
        name = {"htj2k": "HTJ2K", "jpegls": "JPEG-LS", "jpeg": "JPEG"}[self.codec]
        form = lossy.get(self.codec, "lossy HTJ2K") if self.alternate.is_lossy else f"lossless {name}"
        by, at_most = self.scale
        size = f"at most {at_most} pixels a side" if at_most else f"at 1/{by} of the size"
        form += " in full size" if self.scale == (1, 0) else f", {size}"
        if self.made == "always":
            return f"{form}, made by the proxy even if the origin has its own"
        return f"the origin's own, or if it has none, {form}, made by the proxy"


class WorkersSettings(FrozenModel):
    """The processes that serve viewers, and those that decode and encode alternates on demand."""

    http: Annotated[int, Field(ge=1, le=256)] | Literal["cores"] = 1
    """Processes that serve viewers at one address; `cores` is one for each core that the proxy may use."""
    number: int = Field(2, ge=1, le=256)
    """Maximum number of processes for alternates."""
    memory: ByteCount = Field(2 * GIB, ge=256 * MIB)
    """Maximum address space of each process for alternates."""
    seconds: Seconds = Field(30.0, gt=0)
    """Maximum seconds for one frame in a process for alternates."""

    @field_validator("http", mode="before")
    @classmethod
    def _is_number_or_cores(cls, value: object) -> object:
        text = str(value)
        if text == "cores" or (text.isascii() and text.isdecimal() and 1 <= int(text) <= 256):
            return value
        raise ValueError("must be a number of processes from 1 to 256, or cores")


class AuditSettings(FrozenModel):
    """The audit: who got what of which study."""

    file: str | None = Field(None, min_length=1)
    """File for one JSON line per answer about a study, purge and plan, with UIDs; `-` is standard output."""


class Log(FrozenModel):
    """The log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of log records."""
    format: Literal["json", "text"] = "json"
    """Format of the log: one JSON object per line (`json`), or lines for people (`text`)."""
    forwarded: int = Field(10, ge=0)
    """Maximum log lines per second for requests that are forwarded; the next line counts those left out."""
    uids: bool = False
    """Log study, series and instance UIDs; UIDs can lead to a patient."""
