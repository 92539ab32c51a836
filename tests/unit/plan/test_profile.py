"""The vocabulary of profiles: a viewer's configuration is read unchanged; a fault is refused with what is
right."""

import json

import pytest
import yaml

from proxy.codestream.reach import ResolutionTarget
from proxy.errors import ConfigurationError
from proxy.plan.names import STOCK, stock_text
from proxy.plan.plan import ordered
from proxy.plan.profile import (
    NearbyFrame,
    Prefetch,
    Profile,
    RetrieveOptions,
    Stage,
    stock_profile,
)
from proxy.plan.stages import options_of
from proxy.settings.reading import parse

RPCL = "1.2.840.10008.1.2.4.202"
OLD_HTJ2K = "3.2.840.10008.1.2.4.96"


def read(text: str) -> Profile:
    return parse(text, "f.yaml", Profile)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return str(caught.value).splitlines()


# As in the documentation: the advanced stages, the stack's two stages and the five of its example, the JPIP
# options, the arguments of a standard server.
DOCUMENTED_JSON = {
    "advanced stages": """{
      "stages": [
        {"id": "initialImages", "positions": [0.5, 0, -1], "retrieveType": "initial",
         "requestType": "interaction", "priority": -1},
        {"id": "initialPass", "decimate": 2, "offset": 0, "retrieveType": "fast", "priority": 2,
         "requestType": "prefetch", "nearbyFrames": [{"offset": 1, "imageQualityStatus": 3}]},
        {"id": "secondPass", "decimate": 2, "offset": 1, "retrieveType": "fast", "priority": 3,
         "requestType": "prefetch"}
      ]
    }""",
    "a stack by byte ranges": """{
      "stages": [
        {"id": "lossySequential", "retrieveType": "singleFast"},
        {"id": "finalSequential", "retrieveType": "singleFinal"}
      ],
      "retrieveOptions": {
        "singleFast": {"rangeIndex": 0, "decodeLevel": 3},
        "singleFinal": {"rangeIndex": -1}
      }
    }""",
    "the sizes of newer viewers": """{
      "stages": [
        {"id": "a", "retrieveType": "singleFast"},
        {"id": "b", "retrieveType": "singleMiddle"},
        {"id": "c", "retrieveType": "singleFinal"}
      ],
      "retrieveOptions": {
        "singleFast": {"rangeIndex": 0, "initialChunkSize": 16384, "chunkSize": 262144,
                       "msBetweenDecode": 500},
        "singleMiddle": {"rangeIndex": 5, "minChunkSize": 65536},
        "singleFinal": {"rangeIndex": -1}
      }
    }""",
    "JPIP": """{
      "retrieveOptions": {
        "default": {"imageQualityStatus": 6, "framesPath": "/jpip?target=", "urlArguments": "fsiz=128,128"}
      }
    }""",
    "a standard server": """{
      "retrieveOptions": {
        "default": {"urlArguments": "accept=image/jphc", "rangeIndex": -1},
        "multipleFast": {"urlArguments": "accept=image/jphc", "rangeIndex": 0, "decodeLevel": 0}
      }
    }""",
    "a viewer's default": '{"retrieveOptions": {"single": {"streaming": true, "decodeLevel": 1}}}',
}


@pytest.mark.parametrize("text", DOCUMENTED_JSON.values(), ids=DOCUMENTED_JSON)
def test_a_documented_configuration_is_read_as_it_is(text: str) -> None:
    given = json.loads(text)
    found = read(text)
    assert found == Profile.model_validate(given)
    told = found.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert told.get("stages") == given.get("stages")
    flat = (
        {key: options["default"] for key, options in told["retrieveOptions"].items()}
        if "retrieveOptions" in told
        else None
    )
    assert flat == given.get("retrieveOptions")
    assert list(ordered(found, 5))


def test_a_viewers_code_with_its_enumerations_is_read_too() -> None:
    found = read(
        """
stages: [
  {
    id: 'initialPass',
    decimate: 2,
    requestType: RequestType.PREFETCH,
    nearbyFrames: [{ offset: +1, imageQualityStatus: ImageQualityStatus.ADJACENT_REPLICATE, },],
  },
],
""".replace("],\n", "]\n")
    )
    [stage] = found.stages
    assert stage.request_type == "prefetch"
    assert stage.nearby_frames == (NearbyFrame(offset=1, imageQualityStatus=3),)


def test_what_a_profile_says_when_it_says_nothing() -> None:
    profile = Profile()
    [stage] = profile.stages
    assert (stage.id, stage.retrieve_type, stage.request_type, stage.priority) == (
        "initialImages", "single", "interaction", -5,
    )  # fmt: skip
    assert (profile.first, profile.complete, profile.validators) == (None, "always", None)
    assert (profile.prefetch.trigger, profile.prefetch.budget, profile.prefetch.window) == (
        "none",
        268435456,
        None,
    )


def test_what_is_ours() -> None:
    profile = read(
        "stages: [{id: a, barrier: true}]\nfirst: 128KiB\ncomplete: on-demand\nvalidators: off\n"
        "prefetch: {trigger: first-frame, budget: 1GiB, window: 20}\n"
    )
    assert profile.stages[0].barrier
    assert (profile.first, profile.complete, profile.validators) == (131072, "on-demand", "off")
    assert profile.prefetch == Prefetch(trigger="first-frame", budget=2**30, window=20)


@pytest.mark.parametrize(
    ("quality", "is_full"),
    [
        ("SUBRESOLUTION", False),
        ("ImageQualityStatus.LOSSY", False),
        (7, False),
        (8, True),
        ("FULL_RESOLUTION", True),
    ],
)
def test_a_quality_is_a_number_or_its_name(quality: object, is_full: bool) -> None:
    assert RetrieveOptions.model_validate({"imageQualityStatus": quality}).is_full is is_full


NESTED = f"""
retrieveOptions:
  default: {{default: {{framesPath: /jls/}}}}
  singleFast:
    default: {{imageQualityStatus: SUBRESOLUTION, framesPath: /jlsThumbnail/}}
    '{OLD_HTJ2K}': {{streaming: true}}
  multipleFast:
    {RPCL}: {{rangeIndex: 0}}
"""


def test_the_nested_form_is_flat_for_a_transfer_syntax() -> None:
    profile = read(NESTED)
    jls = {"framesPath": "/jls/"}
    small = {"framesPath": "/jlsThumbnail/", "imageQualityStatus": 6}
    for syntax, flat in {
        None: {"default": jls, "singleFast": small},
        "1.2.840.10008.1.2.4.80": {"default": jls, "singleFast": small},
        OLD_HTJ2K: {"default": jls, "singleFast": {"streaming": True}},
        RPCL: {"default": jls, "singleFast": small, "multipleFast": {"rangeIndex": 0}},
    }.items():
        assert profile.options_for(syntax) == {
            key: RetrieveOptions.model_validate(options) for key, options in flat.items()
        }


def test_an_option_of_another_transfer_syntax_gives_way_to_the_default() -> None:
    stage = Stage.model_validate({"id": "a", "retrieveType": "multipleFast"})
    found = options_of(read(NESTED), stage)
    assert found is not None
    assert found.frames_path == "/jls/"
    found = options_of(read(NESTED), stage, RPCL)
    assert found is not None
    assert found.range_index == 0


def test_what_is_flat_holds_for_every_transfer_syntax() -> None:
    profile = read("retrieveOptions: {default: {}, fast: {rangeIndex: 0}}")
    assert profile.options_for(RPCL) == profile.options_for() == {
        "default": RetrieveOptions(),
        "fast": RetrieveOptions.model_validate({"rangeIndex": 0}),
    }  # fmt: skip


PROFILE_KEYS = "extends, stages, retrieveOptions, first, complete, validators, prefetch"
STAGE_KEYS = "id, positions, decimate, offset, retrieveType, requestType, priority, nearbyFrames, barrier"
OPTION_KEYS = (
    "urlArguments, framesPath, imageQualityStatus, decodeLevel, streaming, rangeIndex, chunkSize, "
    "initialChunkSize, first, msBetweenDecode, minChunkSize"
)
SIZE = "must be a number of bytes, such as 65536, 64KiB or 2GiB"
FIRST = 'must be at least 1KiB, such as 64KiB, or a resolution: 1/16, or a minimum width: "≥ 256"'
PLACE = "must be a fraction from 0 to below 1, or a whole number (negative from the end)"
FUNCTION = "a proxy can't run functions"
QUALITY = (
    "must be a number from 1 to 8, or one of "
    "FAR_REPLICATE, ADJACENT_REPLICATE, SUBRESOLUTION, LOSSY, FULL_RESOLUTION"
)

REFUSED = {
    "an unknown key": (
        "stages: [{id: a}]\nretreiveOptions: {}\n",
        f"2: retreiveOptions: unknown key; did you mean retrieveOptions? The keys are {PROFILE_KEYS}",
    ),
    "an unknown key of a stage": (
        "stages:\n- {id: a, decimat: 2}\n",
        f"2: stages.0.decimat: unknown key; did you mean decimate? The keys are {STAGE_KEYS}",
    ),
    "an unknown key of options": (
        "retrieveOptions:\n  fast:\n    range: 0\n",
        f"3: retrieveOptions.fast.range: unknown key; the keys are {OPTION_KEYS}",
    ),
    "an unknown key of a nearby frame": (
        "stages: [{id: a, nearbyFrames: [{offset: 1, quality: 3}]}]",
        "1: stages.0.nearbyFrames.0.quality: unknown key; the keys are offset, imageQualityStatus",
    ),
    "decimate 0": (
        "stages:\n- id: a\n  decimate: 0\n",
        "3: stages.0.decimate: must be at least 1",
    ),
    "an offset below 0": (
        "stages: [{id: a, offset: -1}]",
        "1: stages.0.offset: must be at least 0",
    ),
    "a negative fraction": ("stages: [{id: a, positions: [0, -0.5]}]", f"1: stages.0.positions.1: {PLACE}"),
    "an index and a half": ("stages: [{id: a, positions: [1.5]}]", f"1: stages.0.positions.0: {PLACE}"),
    "an infinite position": (
        "stages: [{id: a, positions: [.inf]}]",
        "1: stages.0.positions.0: must be a finite number",
    ),
    "a position that is no number": (
        "stages: [{id: a, positions: [.nan]}]",
        "1: stages.0.positions.0: must be a finite number",
    ),
    "a queue that is none": (
        "stages: [{id: a, requestType: urgent}]",
        "1: stages.0.requestType: must be 'interaction', 'thumbnail', 'prefetch' or 'compute'",
    ),
    "a chunk of cups": (
        "retrieveOptions:\n  fast:\n    chunkSize: 3 cups\n",
        f"3: retrieveOptions.fast.chunkSize: {SIZE}",
    ),
    "a chunk and a half": (
        "retrieveOptions: {fast: {chunkSize: 1.5}}",
        f"1: retrieveOptions.fast.chunkSize: {SIZE}",
    ),
    "a chunk of yes": (
        "retrieveOptions: {fast: {initialChunkSize: true}}",
        f"1: retrieveOptions.fast.initialChunkSize: {SIZE}",
    ),
    "a chunk below 0": (
        "retrieveOptions: {fast: {chunkSize: -1}}",
        "1: retrieveOptions.fast.chunkSize: must be at least 0",
    ),
    "a range below -1": (
        "retrieveOptions: {fast: {rangeIndex: -2}}",
        "1: retrieveOptions.fast.rangeIndex: must be at least -1",
    ),
    "a quality that is none": (
        "retrieveOptions: {fast: {imageQualityStatus: GOOD}}",
        f"1: retrieveOptions.fast.imageQualityStatus: {QUALITY}",
    ),
    "a quality beyond all": (
        "retrieveOptions: {fast: {imageQualityStatus: 9}}",
        f"1: retrieveOptions.fast.imageQualityStatus: {QUALITY}",
    ),
    "a path within a path": (
        "retrieveOptions: {fast: {framesPath: jls}}",
        "1: retrieveOptions.fast.framesPath: "
        "must begin with / and be ASCII without spaces and #, such as /jls/",
    ),
    "a function for a size": (
        "retrieveOptions:\n  fast:\n    chunkSize: '(metadata, imageId) => 65536'\n",
        f"3: retrieveOptions.fast.chunkSize: {FUNCTION}: write the value instead",
    ),
    "a function of the older kind": (
        "retrieveOptions: {fast: {urlArguments: 'function (id) { return id }'}}",
        f"1: retrieveOptions.fast.urlArguments: {FUNCTION}: write the value instead",
    ),
    "a function for options": (
        "retrieveOptions: {fast: 'async () => ({})'}",
        f"1: retrieveOptions.fast: {FUNCTION}: write the value instead",
    ),
    "a loader of one's own": (
        "stages: [{id: a}]\ncreate: 'config => new Loader(config)'\n",
        f"2: create: {FUNCTION}: leave it out",
    ),
    "no stage": ("stages: []", "1: stages: a profile needs at least one stage"),
    "a first fetch of nothing": ("first: 0", f"1: first: {FIRST}"),
    "a third of a picture": ("first: 1/3", f"1: first: {FIRST}"),
    "a resolution beyond all": ("first: 1/8589934592", f"1: first: {FIRST}"),
    "no width": ('first: "≥ 0"', f"1: first: {FIRST}"),
    "a level beyond all": ("first: {decodeLevel: 33}", f"1: first: {FIRST}"),
    "a level and a width": ("first: {decodeLevel: 3, width: 3}", f"1: first: {FIRST}"),
    "a first fetch of an option": (
        "retrieveOptions:\n  fast: {first: half}\n",
        f"2: retrieveOptions.fast.first: {FIRST}",
    ),
    "an unknown trigger": (
        "prefetch: {trigger: always}",
        "1: prefetch.trigger: must be 'none', 'first-frame' or 'metadata'",
    ),
    "a fault in the nested form": (
        "retrieveOptions:\n  fast:\n    default:\n      rangeIndex: 0\n      chunkSize: x\n",
        f"5: retrieveOptions.fast.default.chunkSize: {SIZE}",
    ),
}


@pytest.mark.parametrize(("text", "fault"), REFUSED.values(), ids=REFUSED)
def test_a_bad_profile_is_refused_with_what_would_be_right(text: str, fault: str) -> None:
    assert faults(text) == [f"f.yaml:{fault}"]


def test_words_that_only_sound_like_functions_are_words() -> None:
    profile = read("stages: [{id: functional}, {id: a function of time}]")
    assert [stage.id for stage in profile.stages] == ["functional", "a function of time"]


def stages_of(name: str) -> list[tuple[object, ...]]:
    return [
        (
            stage.id,
            stage.positions or (stage.decimate, stage.offset),
            stage.retrieve_type,
            stage.request_type,
            stage.priority,
        )
        for stage in stock_profile(name).stages
    ]


THEN = [
    ("quarterThumb", (4, 3), "multipleFast", "thumbnail", 6),
    ("halfThumb", (4, 1), "multipleFast", "thumbnail", 7),
    ("quarterFull", (4, 2), "multipleFinal", "thumbnail", 8),
    ("halfFull", (4, 0), "multipleFinal", "thumbnail", 9),
    ("threeQuarterFull", (4, 1), "multipleFinal", "thumbnail", 10),
    ("finalFull", (4, 3), "multipleFinal", "thumbnail", 11),
]
ERROR = ("errorRetrieve", (None, None), "default", "interaction", -5)


def test_the_interleaved_stages_are_the_viewers() -> None:
    initial = ("initialImages", (0.5, 0, -1), "multipleFast", "thumbnail", 5)
    assert stages_of("interleaved") == [initial, *THEN, ERROR]
    near = (
        NearbyFrame(offset=-1, imageQualityStatus=3),
        NearbyFrame(offset=1, imageQualityStatus=3),
        NearbyFrame(offset=2, imageQualityStatus=1),
    )
    assert [stage.nearby_frames for stage in stock_profile("interleaved").stages] == [near] * 3 + [()] * 5


def test_the_coarse_interleaved_stages_are_the_viewers() -> None:
    coarse = [
        ("initialImages", (0.5,), "multipleFast", "thumbnail", 5),
        ("coarse64", (64, 0), "multipleFast", "thumbnail", 6),
        ("coarse64At21", (64, 21), "multipleFast", "thumbnail", 7),
        ("coarse64At42", (64, 42), "multipleFast", "thumbnail", 8),
    ]
    later = [(*stage[:-1], stage[-1] + 3) for stage in THEN]
    assert stages_of("coarseInterleaved") == [*coarse, *later, ERROR]
    for number, stage in enumerate(stock_profile("coarseInterleaved").stages):
        offsets = [*range(-31, 0), *range(1, 33)] if number < 4 else [-1, 1, 2] if number < 6 else []
        assert [near.offset for near in stage.nearby_frames] == offsets
        for near in stage.nearby_frames:
            distance = abs(near.offset)
            assert near.image_quality_status == pytest.approx(
                3 if distance == 1 else 1 + 1 / distance, abs=1e-4
            )


@pytest.mark.parametrize("name", STOCK)
def test_a_stock_profile_is_a_profile_as_anyone_writes_it(name: str) -> None:
    assert stock_text(name).startswith("# ")
    assert read(stock_text(name)) == stock_profile(name)
    assert Profile.model_validate(json.loads(json.dumps(yaml.safe_load(stock_text(name))))) == stock_profile(
        name
    )


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("64KiB", 65536),
        ("1024", 1024),
        ("1/1", ResolutionTarget(1)),
        ("1/16", ResolutionTarget(16)),
        ("{decodeLevel: 4}", ResolutionTarget(16)),
        ("{decodeLevel: 0}", ResolutionTarget(1)),
        ('"≥ 256"', ResolutionTarget(covers=(256, 0))),
        ('">=256"', ResolutionTarget(covers=(256, 0))),
    ],
)
def test_first_is_bytes_a_resolution_or_a_width(text: str, first: int | ResolutionTarget) -> None:
    assert read(f"first: {text}").first == first
    assert Profile.model_validate(read(f"first: {text}").model_dump(by_alias=True)).first == first
    assert read(f"retrieveOptions: {{a: {{first: {text}}}}}").options_for()["a"].first == first
