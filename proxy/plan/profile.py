"""Retrieve profiles: how to fetch the frames of a series, in the vocabulary of Cornerstone3D.

Keys are spelled as in a viewer's retrieve configuration, so that you can paste one in; YAML is a superset of
JSON. The proxy adds `barrier`, and all keys of a profile except `stages` and `retrieveOptions`. Only this
module of the package imports pydantic's validators and yaml.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from proxy.errors import ConfigurationError
from proxy.plan import values
from proxy.plan.kinds import (
    ByteCount,
    First,
    FramesPath,
    FrozenModel,
    Position,
    Quality,
    RequestType,
    Visible,
)
from proxy.plan.names import STOCK, stock_text
from proxy.plan.spread import SPREADS, viewers_stages, with_spreads
from proxy.plan.values import KIB, ImageQuality
from proxy.wire.meant import meant

_QUICK = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader, if there is one. Each start reads all built-in profiles, in 6 to 12 ms instead of 60."""


class ViewerModel(FrozenModel):
    """A model with a viewer's spelling of keys, which refuses a viewer's functions."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=False, validate_by_alias=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_function(cls, value: object) -> object:
        return values.no_function(value)


class NearbyFrame(ViewerModel):
    """An image for which a viewer shows a copy until its own bytes arrive."""

    offset: int
    """Distance in images; negative is before."""
    image_quality_status: Quality | None = None
    """Quality that the copy counts as."""


class Stage(ViewerModel):
    """Selects images of a series and how to fetch them."""

    id: str
    """Name of the stage, in events and messages."""
    positions: tuple[Position, ...] | None = None
    """Images by position: negative counts from the end, below 1 is a fraction, else an index (0-based)."""
    decimate: int | None = Field(None, ge=1)
    """Selects every n-th image; `positions` takes precedence."""
    offset: int | None = Field(None, ge=0)
    """First image (0-based) if `decimate` is set."""
    retrieve_type: str = "default"
    """Key of the options to use, from `retrieveOptions`."""
    request_type: RequestType = "interaction"
    """Queue of the stage. The order of queues is interaction, thumbnail, prefetch, compute."""
    priority: int = -5
    """Order within a queue; lower goes first."""
    nearby_frames: tuple[NearbyFrame, ...] = ()
    """`offset` and `imageQualityStatus` of images that a viewer fills with copies; the proxy makes none."""
    barrier: bool = False
    """Proxy only: if true, the stage waits until all earlier stages have ended for all images."""


class RetrieveOptions(ViewerModel):
    """How to fetch one image in a stage."""

    url_arguments: Visible | None = None
    """Arguments to add to the URL, such as `accept=image/jphc`."""
    frames_path: FramesPath | None = None
    """Path segment to use in the URL in place of `/frames/`."""
    image_quality_status: Quality | None = None
    """Quality of the complete response, by number or name; below FULL_RESOLUTION (8) no stage is skipped."""
    decode_level: int | None = Field(None, ge=0)
    """The viewer's reduction; 0 is full size. The proxy does not decode."""
    streaming: bool = False
    """One request, whose bytes a viewer shows as they arrive."""
    range_index: int | None = Field(None, ge=-1)
    """Range to fetch, 0-based; -1 is the remainder. If absent, the whole image is fetched."""
    chunk_size: Annotated[ByteCount, Field(ge=0)] | None = None
    """Bytes of each range: 64KiB, or 128KiB with `initialChunkSize`. An image's first range decides."""
    initial_chunk_size: Annotated[ByteCount, Field(ge=0)] | None = None
    """Bytes of range 0, as in newer viewers; if absent, range 0 has `chunkSize` too."""
    first: First | None = None
    """Proxy only: end of the fetch from byte 0, instead of a range: `64KiB`, `1/4`, `"≥ 256"` pixels wide."""
    ms_between_decode: float | None = Field(None, ge=0)
    """Accepted and ignored."""
    min_chunk_size: Annotated[ByteCount, Field(ge=0)] | None = None
    """Accepted and ignored."""

    @property
    def is_full(self) -> bool:
        """True if the complete response is the image at full quality."""
        return (self.image_quality_status or ImageQuality.FULL_RESOLUTION) >= ImageQuality.FULL_RESOLUTION


_SPREAD: Any = {rf"^\.\.\.(.*\.)?({'|'.join(SPREADS)})$": {"type": "null"}}
Agreement = Annotated[
    Literal["strict", "length", "off"] | None,
    BeforeValidator(values.off),
    WithJsonSchema({"enum": ["strict", "length", "off", False, None]}, mode="validation"),
]


class Prefetch(ViewerModel):
    """Frames to fetch before a viewer requests them."""

    trigger: Literal["none", "first-frame", "metadata"] = "none"
    """Event that starts prefetching a series: nothing, a viewer's first frame, or the series metadata."""
    budget: ByteCount = Field(256 * KIB**2, ge=0)
    """Maximum number of bytes to prefetch of a series."""
    window: int | None = Field(None, ge=0)
    """Frames to prefetch on each side of the last requested one; if absent, the whole series."""
    study: Literal["none", "metadata", "thumbnails", "first", "all"] = "none"
    """Fetched of a study's series once a viewer opens it; `first` is the first fetch of each frame."""
    study_budget: ByteCount = Field(512 * KIB**2, ge=0)
    """Maximum number of bytes to prefetch of a study by `study`."""
    study_requests: int = Field(10_000, ge=0)
    """Maximum number of fetches by `study`."""


def _by_syntax(value: object, read: Callable[[object], Any]) -> Any:  # noqa: ANN401  # as pydantic has it
    """Reads options by transfer syntax; options without transfer syntaxes apply to all."""
    if values.is_by_syntax(value):
        return read(value)
    return {"default": RetrieveOptions.model_validate(values.no_function(value))}


_KEYS: Any = {"propertyNames": {"pattern": f"^({values.SYNTAX})$"}, "minProperties": 1}
_Nested = Annotated[dict[str, RetrieveOptions], Field(json_schema_extra=_KEYS)]
BySyntax = Annotated[
    dict[str, RetrieveOptions],
    WrapValidator(_by_syntax, json_schema_input_type=RetrieveOptions | _Nested),
]
"""Options by transfer syntax UID or `default`."""


class Profile(ViewerModel):
    """A viewer's retrieve configuration, with the proxy's additions."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": _SPREAD})

    extends: str | None = None
    """Name of a profile to build on. Each key that stands here replaces the whole key of that one."""
    stages: tuple[Stage, ...] = Field(
        (Stage.model_validate({"id": "initialImages", "retrieveType": "single"}),),
        json_schema_extra={"minItems": 1},
    )
    """Stages in order. For each image, a stage starts when the one before has ended."""
    retrieve_options: dict[str, BySyntax] = Field(default_factory=dict)
    """Options by `retrieveType`, else `default`, else the whole image; each may be by transfer syntax UID."""
    first: First | None = None
    """End of the first fetch, in place of the first stage's: `64KiB`, `1/16`, `"≥ 256"`."""
    complete: Literal["always", "on-demand"] = "always"
    """Completion of frames: `always`, or `on-demand`, only as far as viewers request."""
    validators: Agreement = None
    """Agreement required before a completion is appended: a strong validator (`strict`; without one the frame
    is fetched by one request), or total, transfer syntax and the codestream's markers (`length`), or only the
    total (`off`). If absent: `strict` if there is a strong validator, else `length`."""
    prefetch: Prefetch = Prefetch()
    """Frames to fetch before a viewer requests them."""

    @model_validator(mode="before")
    @classmethod
    def _is_written(cls, value: object) -> object:
        if isinstance(value, str):
            value = _of_javascript(value)
        if isinstance(value, dict) and any(str(key).startswith("...") for key in value):
            value = with_spreads(value)
        if isinstance(value, dict) and "create" in value:
            fault = PydanticCustomError("function", values.NO_FUNCTION + ": leave it out")
            details = InitErrorDetails(type=fault, loc=("create",), input=value["create"])
            raise ValidationError.from_exception_data(cls.__name__, [details])
        return value

    @model_validator(mode="after")
    def _has_a_stage(self) -> Self:
        if not self.stages:
            raise ValueError("stages: a profile needs at least one stage")
        return self

    def options_for(self, transfer_syntax: str | None = None) -> dict[str, RetrieveOptions]:
        """Returns the options by `retrieveType` for a transfer syntax; None is an unknown transfer syntax."""
        found = {
            key: options.get(transfer_syntax or "default") or options.get("default")
            for key, options in self.retrieve_options.items()
        }
        return {key: options for key, options in found.items() if options is not None}


def _of_javascript(text: str) -> dict[str, Any]:
    from proxy.plan.javascript import read_javascript  # its parser takes 3 MiB

    try:
        return read_javascript(text, viewers_stages())
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


def extended(profile: Profile, others: Mapping[str, Profile]) -> Profile:
    """Returns a profile with the keys of those that it builds on. Raises `ValueError`.

    `others` are the configured profiles; a profile with the name of a stock one builds on that.

    >>> mine = Profile(extends="interleaved", first="1/4")
    >>> len(extended(mine, {}).stages), extended(mine, {}).first.scale
    (8, 4)
    """
    chain = [profile]
    while (name := chain[-1].extends) is not None:
        base = others.get(name)
        if base is None or any(base is each for each in chain):
            if name not in STOCK:
                known = (*others, *STOCK)
                words = "builds on itself" if base else "is no profile" + meant(name, known)
                raise ValueError(f"extends: {name} {words}")
            base = stock_profile(name)
        chain.append(base)
    written: dict[str, Any] = {}
    for each in reversed(chain):
        written |= {key: getattr(each, key) for key in each.model_fields_set}
    return profile.model_copy(update=written | {"extends": None})


@cache
def stock_profile(name: str) -> Profile:
    """Returns a built-in profile. Raises `UnknownName`."""
    return Profile.model_validate(yaml.load(stock_text(name), _QUICK))  # noqa: S506  # both are safe
