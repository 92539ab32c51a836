import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import PreconditionFailed
from proxy.frame.identity import Claim, Identity, identify
from proxy.viewers.response import Conditions, ResponseHead, compose
from proxy.wire.media import Envelope
from proxy.wire.ranges import RangeRequest, parse_range
from proxy.wire.resource import FrameResource

FAST = settings(deadline=None, database=None)
SIZE = 5000
CODESTREAM = b"\xff\x4f\xff\x51" + random.Random(5).randbytes(SIZE - 4)
LABEL = "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"
IDENTITY = identify(Claim(LABEL, SIZE, '"v"'), CODESTREAM)
OTHER = identify(Claim(LABEL, SIZE, '"w"'), CODESTREAM)
RESOURCE = FrameResource("1.2.3", "1.2.4", "1.2.5", 1)
SINGLE, MULTIPART = Envelope.SINGLE, Envelope.MULTIPART
BOTH = pytest.mark.parametrize("envelope", Envelope)


def asked(
    envelope: Envelope = SINGLE,
    bytes_: str | None = None,
    *,
    if_none_match: str | None = None,
    if_range: str | None = None,
    is_head: bool = False,
    if_match: str | None = None,
    identity: Identity = IDENTITY,
) -> ResponseHead:
    chosen = None if bytes_ is None else parse_range(f"bytes={bytes_}")
    conditions = Conditions(envelope, chosen, if_none_match, if_range, is_head, if_match)
    return compose(identity, RESOURCE, conditions)


def header(composed: ResponseHead, name: str) -> str | None:
    found = [value.decode() for key, value in composed.headers if key == name.encode()]
    assert len(found) <= 1
    return found[0] if found else None


def body_of(composed: ResponseHead) -> bytes:
    return composed.before + CODESTREAM[composed.span.start : composed.stop] + composed.after


def whole(envelope: Envelope) -> bytes:
    return body_of(asked(envelope))


@BOTH
def test_without_a_range_it_is_a_200_of_all(envelope: Envelope) -> None:
    composed = asked(envelope)
    assert (composed.status, composed.is_final) == (200, True)
    assert header(composed, "content-length") == str(len(body_of(composed)))
    assert header(composed, "content-range") is None
    assert header(composed, "accept-ranges") == "bytes"
    assert header(composed, "vary") == "Accept"
    assert CODESTREAM in body_of(composed)


def test_a_single_part_is_the_codestream_under_its_own_type() -> None:
    assert whole(SINGLE) == CODESTREAM
    assert header(asked(SINGLE), "content-type") == LABEL


def test_a_multipart_says_its_boundary_and_spells_its_header_as_viewers_need_it() -> None:
    kind = header(asked(MULTIPART), "content-type") or ""
    assert kind.startswith('multipart/related; type="image/jphc"; boundary=')
    boundary = kind.rpartition("=")[2]
    before, _, after = whole(MULTIPART).partition(CODESTREAM)
    assert before.decode() == f"--{boundary}\r\nContent-Type: {LABEL}\r\n\r\n"
    assert after.decode() == f"\r\n--{boundary}--"
    assert boundary.isalnum()
    assert len(boundary) <= 70  # RFC 2046 5.1.1


@BOTH
@FAST
@given(st.data())
def test_a_range_is_what_slicing_the_whole_gives(envelope: Envelope, data: st.DataObject) -> None:
    everything = whole(envelope)
    size = len(everything)
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.none() | st.integers(first, size + 10))
    composed = asked(envelope, f"{first}-{'' if last is None else last}")
    want = everything[first : None if last is None else last + 1]
    assert composed.status == 206
    assert body_of(composed) == want
    assert header(composed, "content-length") == str(len(want))
    assert header(composed, "content-range") == f"bytes {first}-{first + len(want) - 1}/{size}"


@BOTH
@pytest.mark.parametrize("split", [1, 5, 64, 150, 200, 4096, SIZE - 1, SIZE])
def test_a_viewer_that_appends_ranges_gets_the_whole(envelope: Envelope, split: int) -> None:
    first, rest = asked(envelope, f"0-{split - 1}"), asked(envelope, f"{split}-")
    if rest.status == 416:
        assert split == len(whole(envelope))
        assert body_of(first) == whole(envelope)
    else:
        assert body_of(first) + body_of(rest) == whole(envelope)


@BOTH
def test_a_suffix_is_of_the_representation(envelope: Envelope) -> None:
    assert body_of(asked(envelope, "-10")) == whole(envelope)[-10:]
    assert body_of(asked(envelope, "-999999")) == whole(envelope)


@BOTH
@pytest.mark.parametrize("bytes_", ["{size}-", "{size}-{size}", "999999-", "-0", "5-4", "0-1,3-4", "a-b", ""])
def test_what_can_not_be_had_is_a_416_without_a_body(envelope: Envelope, bytes_: str) -> None:
    size = len(whole(envelope))
    composed = asked(envelope, bytes_.format(size=size))
    assert (composed.status, body_of(composed), composed.is_final) == (416, b"", False)
    assert header(composed, "content-range") == f"bytes */{size}"
    assert header(composed, "content-length") == "0"
    # A viewer reads the type of every answer to a range.
    assert header(composed, "content-type") == header(asked(envelope), "content-type")


@BOTH
def test_if_none_match_goes_before_range(envelope: Envelope) -> None:
    etag = IDENTITY.etag(envelope)
    for value in (etag, f"W/{etag}", f'"x", {etag}', f'{etag} , "x"', f'"x",W/{etag}', "*", " * "):
        for bytes_ in (None, "0-9", "999999-", "5-4"):
            composed = asked(envelope, bytes_, if_none_match=value)
            assert (composed.status, body_of(composed)) == (304, b""), value
            assert header(composed, "etag") == etag
            assert header(composed, "content-range") is None
            assert header(composed, "content-length") is None
            assert header(composed, "vary") == "Accept"
            # A browser answers its page from a 304, and Chromium by a 416 of its own if the range is behind.
            for name in ("content-type", "accept-ranges", "cache-control"):
                assert header(composed, name) == header(asked(envelope), name)


@BOTH
def test_if_none_match_goes_before_if_range_and_head(envelope: Envelope) -> None:
    etag = IDENTITY.etag(envelope)
    assert asked(envelope, "0-9", if_none_match=etag, if_range='"old"').status == 304
    assert asked(envelope, if_none_match=etag, is_head=True).status == 304


@BOTH
def test_if_match_goes_before_everything_else(envelope: Envelope) -> None:
    etag, other = IDENTITY.etag(envelope), OTHER.etag(envelope)
    for value in (etag, f"{other}, {etag}", f'{etag} ,W/"x"', "*", " * "):
        assert asked(envelope, if_match=value) == asked(envelope), value
        assert asked(envelope, "5-9", if_match=value) == asked(envelope, "5-9"), value
        assert asked(envelope, "5-4", if_match=value).status == 416
        assert asked(envelope, if_match=value, if_none_match=etag).status == 304
    for value in (other, f"W/{etag}", f"{other}, W/{etag}", etag.strip('"'), "", ",", '"*"'):
        for bytes_ in (None, "0-9", "5-4"):
            for none_match in (None, etag):
                with pytest.raises(PreconditionFailed):
                    asked(envelope, bytes_, if_match=value, if_none_match=none_match, if_range=etag)
        with pytest.raises(PreconditionFailed):
            asked(envelope, if_match=value, is_head=True)


@BOTH
def test_a_weak_etag_fails_every_if_match_but_the_asterisk(envelope: Envelope) -> None:
    weak = identify(Claim(LABEL, SIZE, None), CODESTREAM, copy="a")
    etag = weak.etag(envelope)
    assert etag.startswith("W/")
    assert asked(envelope, if_match="*", identity=weak).status == 200
    for value in (etag, etag.removeprefix("W/"), ""):
        with pytest.raises(PreconditionFailed):
            asked(envelope, if_match=value, identity=weak)


@BOTH
def test_another_etag_in_if_none_match_gives_the_whole_or_nothing(envelope: Envelope) -> None:
    """A browser asks so whether what it holds by ranges is still this, and its viewer may want the whole."""
    other_envelope = next(each for each in Envelope if each is not envelope)
    tags = (
        OTHER.etag(envelope),
        IDENTITY.etag(other_envelope),
        '"x"',
        "",
        IDENTITY.etag(envelope).strip('"'),
    )
    for value in (*tags, ", ".join(tags), '*, "x"'):
        for bytes_ in (None, "0-9", "0-", "0-999999"):
            assert asked(envelope, bytes_, if_none_match=value) == asked(envelope), value
        for bytes_ in ("10-", "-5", "999999-"):  # it would be put behind another version's part
            assert asked(envelope, bytes_, if_none_match=value) == asked(envelope, "999999-"), value


@BOTH
def test_if_range_of_this_version_gives_the_range(envelope: Envelope) -> None:
    assert asked(envelope, "10-", if_range=IDENTITY.etag(envelope)) == asked(envelope, "10-")
    assert asked(envelope, "999999-", if_range=IDENTITY.etag(envelope)).status == 416


@BOTH
@pytest.mark.parametrize("bytes_", ["0-9", "10-", "-5", "999999-"])
def test_if_range_of_another_version_gives_the_whole_or_nothing(envelope: Envelope, bytes_: str) -> None:
    other_envelope = next(each for each in Envelope if each is not envelope)
    for value in (
        OTHER.etag(envelope),
        IDENTITY.etag(other_envelope),
        f"W/{IDENTITY.etag(envelope)}",  # If-Range compares strongly (RFC 9110 13.1.5)
        "Mon, 01 Jan 2024 00:00:00 GMT",
        "",
        "*",
    ):
        given = asked(envelope, bytes_, if_range=value)
        if bytes_ == "0-9":
            assert given == asked(envelope), value
        else:  # a viewer would put the whole behind the first bytes that it has (against RFC 9110 13.1.5)
            assert given == asked(envelope, "999999-"), value


@BOTH
def test_head_has_no_range(envelope: Envelope) -> None:
    for bytes_ in ("0-9", "999999-", "5-4"):
        composed = asked(envelope, bytes_, is_head=True)
        assert (composed.status, composed.headers) == (200, asked(envelope).headers)


@BOTH
def test_the_same_question_has_the_same_answer(envelope: Envelope) -> None:
    for bytes_ in (None, "0-9", "10-", "999999-"):
        again = Conditions(envelope, None if bytes_ is None else parse_range(f"bytes={bytes_}"))
        twin = identify(Claim(LABEL, SIZE, '"v"'), CODESTREAM[:4096])
        assert asked(envelope, bytes_) == compose(twin, FrameResource(*_parts()), again)


def _parts() -> tuple[str, str, str, int]:
    return RESOURCE.study, RESOURCE.series, RESOURCE.instance, RESOURCE.frame_number


def test_the_envelope_stays_while_the_version_changes() -> None:
    old, new = (compose(each, RESOURCE, Conditions(MULTIPART)) for each in (IDENTITY, OTHER))
    assert (old.before, old.after) == (new.before, new.after)
    assert header(old, "etag") != header(new, "etag")


def test_each_frame_has_its_own_boundary() -> None:
    others = [
        FrameResource("1.2.3", "1.2.4", "1.2.5", 2),
        FrameResource("1.2.3", "1.2.4", "1.2.6", 1),
        FrameResource("1.2.9", "1.2.4", "1.2.5", 1),
    ]
    seen = {compose(IDENTITY, each, Conditions(MULTIPART)).after for each in (RESOURCE, *others)}
    assert len(seen) == 4


def test_etags_differ_by_envelope_and_version() -> None:
    etags = {header(compose(i, RESOURCE, Conditions(e)), "etag") for i in (IDENTITY, OTHER) for e in Envelope}
    assert len(etags) == 4


@BOTH
def test_an_answer_is_final_if_it_holds_the_last_byte_of_the_frame(envelope: Envelope) -> None:
    lead = len(asked(envelope).before)
    last = lead + SIZE - 1
    for bytes_, is_final in {
        "0-": True,
        f"0-{last}": True,
        f"{last}-{last}": True,
        f"{last}-": True,
        f"0-{last - 1}": False,
        "0-0": False,
        f"{lead}-{lead}": False,
    }.items():
        assert asked(envelope, bytes_).is_final is is_final, bytes_


def test_an_answer_with_the_closing_delimiter_alone_is_not_final() -> None:
    composed = asked(MULTIPART, "-3")
    assert composed.span.start == composed.stop
    assert not composed.is_final


@BOTH
def test_no_range_reaches_further_into_the_codestream_than_it_says_it_wants(envelope: Envelope) -> None:
    for first, last in ((0, 0), (0, 99), (50, 200), (0, 65535), (4000, 6000)):
        wanted = RangeRequest(first, last)
        composed = compose(IDENTITY, RESOURCE, Conditions(envelope, wanted))
        assert composed.stop <= (wanted.stop_wanted or 0)
