import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BadResource
from proxy.wire.resource import (
    MAX_UID,
    FrameResource,
    is_frame_path,
    is_standard_uid,
    is_uid,
    parse_frame_path,
    parse_rendered_path,
    parse_series_metadata_path,
    split_frames_path,
)

GOOD = "studies/1.2.3/series/1.2.4/instances/1.2.5/frames/7"
FAST = settings(deadline=None, database=None)

uids = (
    st.lists(st.integers(0, 10**8).map(str), min_size=1, max_size=12)
    .map(".".join)
    .filter(lambda uid: len(uid) <= MAX_UID)
)
resources = st.builds(FrameResource, uids, uids, uids, st.integers(1, 10**10 - 1))


@pytest.mark.parametrize(
    "path",
    [
        GOOD,
        GOOD.replace("1.2.3", "0"),
        GOOD.replace("1.2.3", "2.25." + "9" * 59),
        GOOD.replace("1.2.3", "1" * 64),
        GOOD.replace("1.2.3", "1.2.ABC-7_x"),
        GOOD.replace("1.2.3", "patient-1"),
        GOOD.replace("1.2.3", "frames"),
        GOOD.replace("1.2.3", "A" * 64),
        GOOD.replace("frames/7", "frames/1"),
        GOOD.replace("frames/7", "frames/9999999999"),
    ],
)
def test_a_good_path_comes_back_as_it_went_in(path: str) -> None:
    assert is_frame_path(path)
    assert parse_frame_path(path).path == path


def test_each_part_of_a_path_has_its_place() -> None:
    assert parse_frame_path(GOOD) == FrameResource("1.2.3", "1.2.4", "1.2.5", 7)


@FAST
@given(resources)
def test_every_frame_is_found_again_by_its_own_path(resource: FrameResource) -> None:
    assert parse_frame_path(resource.path) == resource


@FAST
@given(st.lists(st.one_of(st.text("0123a_./%;,- \n", max_size=4), st.just("1.2")), min_size=4, max_size=4))
def test_no_two_spellings_name_one_frame(parts: list[str]) -> None:
    study, series, instance, number = parts
    path = f"studies/{study}/series/{series}/instances/{instance}/frames/{number}"
    try:
        resource = parse_frame_path(path)
    except BadResource:
        return
    assert resource.path == path


BAD_UIDS = {
    "empty": "",
    "65 characters": "1" * 65,
    "65 characters with dots": "1." * 32 + "1",
    "dot alone": ".",
    "dot segment": "..",
    "empty component": "1..2",
    "dot before": ".1",
    "dot after": "1.",
    "percent-encoded digit": "%31",
    "percent-encoded slash": "1%2f2",
    "percent-encoded slash in capitals": "1%2F2",
    "percent-encoded dots": "%2e%2e",
    "backslash": "1\\2",
    "letters that no ASCII has": "1.2.\u00e4",
    "quoted letter": "1.2.%41",
    "tilde": "~1.2",
    "colon": "1:2",
    "at": "1@2",
    "quotes": "'1'",
    "unicode digits": "\u0661.\u0662",
    "superscript digit": "1.\u00b2",
    "full-width digit": "\uff11.2",
    "minus before": "-1",
    "plus": "+1",
    "underscore before": "_1",
    "space": "1.2 ",
    "line end": "1.2\n",
    "null": "1\0",
    "path parameter": "1.2;x",
    "list": "1.2,1.3",
    "wildcard": "*",
}


@pytest.mark.parametrize("uid", BAD_UIDS.values(), ids=BAD_UIDS)
@pytest.mark.parametrize("part", ["study", "series", "instance"])
def test_a_bad_uid_is_refused_by_the_name_of_its_part(part: str, uid: str) -> None:
    good = {"study": "1.2.3", "series": "1.2.4", "instance": "1.2.5"}
    path = "studies/{study}/series/{series}/instances/{instance}/frames/7".format(**{**good, part: uid})
    assert is_frame_path(path)
    with pytest.raises(BadResource, match=f"^{part}: ") as refused:
        parse_frame_path(path)
    assert not any(given in str(refused.value) for given in good.values())


BAD_NUMBERS = {
    "empty": "",
    "zero": "0",
    "leading zero": "01",
    "minus": "-1",
    "plus": "+1",
    "a list": "1,2",
    "the same twice": "1,1",
    "eleven digits": "10000000000",
    "a thousand digits": "9" * 1000,
    "underscore": "1_0",
    "fraction": "1.5",
    "exponent": "1e3",
    "hexadecimal": "0x1",
    "letters": "one",
    "unicode digits": "\u0661",
    "superscript digit": "1\u00b2",
    "path parameter": "1;x.css",
    "percent-encoded digit": "%31",
    "percent-encoded slash": "1%2f..%2f2",
    "percent-encoded line end": "1%0d%0a",
    "query": "1?x",
    "fragment": "1#x",
    "dot segment": "..",
    "space before": " 1",
    "space after": "1 ",
    "line end": "1\n",
    "null": "1\0",
}


@pytest.mark.parametrize("number", BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_a_bad_frame_number_is_refused_by_name(number: str) -> None:
    path = GOOD.replace("frames/7", f"frames/{number}")
    assert is_frame_path(path)
    with pytest.raises(BadResource, match=r"^frames: "):
        parse_frame_path(path)


OTHER_PATHS = {
    "nothing": "",
    "leading slash": "/" + GOOD,
    "trailing slash": GOOD + "/",
    "something after it": GOOD + "/rendered",
    "double slash": GOOD.replace("/frames", "//frames"),
    "dot segment": GOOD.replace("/frames", "/./frames"),
    "dot segments that come back": GOOD.replace("/frames", "/../1.2.5/frames"),
    "no number": GOOD.removesuffix("/7"),
    "no series": GOOD.replace("/series/1.2.4", ""),
    "capitals": GOOD.replace("studies", "Studies"),
    "encoded letters": GOOD.replace("frames", "%66rames"),
    "encoded slash between parts": GOOD.replace("/frames/", "%2fframes%2f"),
    "absolute form": "http://host/" + GOOD,
    "another resource": GOOD.replace("frames/7", "bulkdata/7"),
}


@pytest.mark.parametrize("path", OTHER_PATHS.values(), ids=OTHER_PATHS)
def test_another_shape_is_not_the_path_of_a_frame(path: str) -> None:
    assert not is_frame_path(path)
    with pytest.raises(BadResource, match=r"^a frame's path is"):
        parse_frame_path(path)


@FAST
@given(st.text(st.sampled_from("019aAzZ._-/\\%;,~ :@?#*\u00e4\u0661\x00\n"), max_size=70))
def test_what_is_taken_for_a_uid_is_one_segment_that_can_not_climb(text: str) -> None:
    if not is_uid(text):
        assert not is_standard_uid(text)
        return
    assert text.isascii()
    assert text.replace("-", "a").replace("_", "a").replace(".", "a").isalnum()
    assert ".." not in text
    assert 1 <= len(text) <= MAX_UID
    assert text[0].isalnum()
    assert text[-1] != "."


WORDS = ("frames", "instances", "series", "studies", "metadata", "rendered", "thumbnail", "jls")


@FAST
@given(st.tuples(*[st.sampled_from(WORDS)] * 3))
def test_a_uid_that_is_a_word_of_paths_is_taken_for_no_other_part(uids: tuple[str, str, str]) -> None:
    resource = FrameResource(*uids, 7)
    series = f"studies/{uids[0]}/series/{uids[1]}"
    assert parse_frame_path(resource.path) == resource
    assert split_frames_path(resource.path_at("/jls/")) == (resource.path, "/jls/")
    assert parse_series_metadata_path(f"{series}/metadata") == uids[:2]
    found = parse_rendered_path(f"{series}/instances/{uids[2]}/rendered")
    assert found is not None
    assert (found.study, found.series, found.instance) == uids
