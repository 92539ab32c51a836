import re
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import OriginBusy, OriginChanged, OriginError, OriginFailed, OriginMismatch, OriginRefused
from proxy.frame.identity import Claim, Condition, Lease
from proxy.origin.answer import Believed, believe, label_of, strong_validator
from proxy.origin.freshness import lease_of, renewed
from proxy.wire.media import MediaType, parse_media_type
from proxy.wire.ranges import Span

FAST = settings(deadline=None, database=None)
SYNTAX = "1.2.840.10008.1.2.4.202"
LABEL = f"image/jphc;transfer-syntax={SYNTAX}"
HELD = Claim(LABEL, 100, '"v"')
FIRST, REST, WHOLE = Span(0, 40), Span(40, None), Span(0, None)
MIDDLE = Span(40, 60)


def partial(content_range: str, **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"content-type": LABEL, "content-range": content_range, **named}


def test_a_first_fetch_tells_the_total_the_validator_and_the_type() -> None:
    headers = partial("bytes 0-39/100", content_length="40", etag='"v"')
    lease = Lease(condition=Condition("if-none-match", '"v"'))
    seen = Believed(parse_media_type(LABEL), 0, 40, 100, '"v"', lease, has_ranges=True)
    assert believe(206, headers, FIRST, None) == seen


def test_a_frame_shorter_than_the_first_fetch_is_whole() -> None:
    seen = believe(206, partial("bytes 0-19/20", content_length="20"), FIRST, None)
    assert (seen.start, seen.stop, seen.total) == (0, 20, 20)


def test_a_completion_of_the_version_that_is_held_is_believed() -> None:
    seen = believe(206, partial("bytes 40-99/100", content_length="60", etag='"v"'), REST, HELD)
    assert (seen.start, seen.stop, seen.total) == (40, 100, 100)
    seen = believe(206, partial("bytes 40-59/100"), MIDDLE, HELD)
    assert (seen.start, seen.stop) == (40, 60)


def test_a_completion_without_a_validator_is_believed_by_its_total() -> None:
    assert believe(206, partial("bytes 40-99/100"), REST, HELD).validator is None
    assert believe(206, partial("bytes 40-99/100", etag='W/"other"'), REST, HELD).validator is None
    unguarded = Claim(LABEL, 100, None)
    assert believe(206, partial("bytes 40-99/100", etag='"new"'), REST, unguarded).validator == '"new"'


def test_a_whole_answer_is_believed_where_the_first_byte_was_asked_for() -> None:
    for span in (FIRST, WHOLE):
        seen = believe(200, {"content-type": LABEL, "content-length": "100"}, span, None)
        assert (seen.start, seen.stop, seen.total) == (0, 100, 100)


@pytest.mark.parametrize("more", [{}, {"content-length": "100"}, {"content-encoding": "gzip"}])
def test_all_of_the_very_same_version_has_its_rest(more: dict[str, str]) -> None:
    for span in (REST, MIDDLE):
        seen = believe(200, {"content-type": LABEL, "etag": '"v"', **more}, span, HELD)
        assert (seen.start, seen.stop, seen.total) == (0, 100, 100)


@pytest.mark.parametrize(
    "said", [{}, {"etag": 'W/"v"'}, {"etag": '"w"'}, {"etag": '"v"', "content-length": "101"}]
)
def test_all_of_what_may_be_another_version_has_not(said: dict[str, str]) -> None:
    with pytest.raises(OriginChanged):
        believe(200, {"content-type": LABEL, **said}, REST, HELD)


@pytest.mark.parametrize("said", [{}, {"etag": 'W/"v"'}, {"etag": '"w"'}])
def test_all_of_a_version_without_a_validator_is_left_to_its_bytes(said: dict[str, str]) -> None:
    """The fill compares the bytes that it holds. Another length is another version without that."""
    unguarded = Claim(LABEL, 100, None)
    seen = believe(200, {"content-type": LABEL, **said}, REST, unguarded)
    assert (seen.start, seen.stop, seen.total) == (0, 100, 100)
    with pytest.raises(OriginChanged):
        believe(200, {"content-type": LABEL, "content-length": "101", **said}, REST, unguarded)


@pytest.mark.parametrize(
    "length", ["", "1_0", "+10", "-1", "ten", "1e3", " 10", "10, 10", "\u0661", "9" * 16]
)
def test_a_length_that_is_none_is_not_known(length: str) -> None:
    seen = believe(200, {"content-type": LABEL, "content-length": length}, WHOLE, None)
    assert (seen.stop, seen.total) == (None, None)


def test_a_whole_answer_to_a_completion_is_another_version() -> None:
    with pytest.raises(OriginChanged) as refused:
        believe(200, {"content-type": LABEL, "content-length": "100"}, REST, HELD)
    assert refused.value.reason == "validator"


LIES: dict[str, tuple[Span, dict[str, str], str]] = {
    "no Content-Range": (FIRST, {"content-type": LABEL}, "content_range"),
    "an empty one": (FIRST, partial(""), "content_range"),
    "no total": (FIRST, partial("bytes 0-39/*"), "content_range"),
    "no range": (FIRST, partial("bytes */100"), "content_range"),
    "no numbers": (FIRST, partial("bytes 0-NaN/100"), "content_range"),
    "digits with an underscore": (FIRST, partial("bytes 0-39/1_00"), "content_range"),
    "backwards": (FIRST, partial("bytes 39-0/100"), "content_range"),
    "beyond the total": (FIRST, partial("bytes 0-39/39"), "content_range"),
    "another unit": (FIRST, partial("items 0-39/100"), "content_range"),
    "parts of several ranges": (FIRST, {"content-type": "multipart/byteranges; boundary=x"}, "content_range"),
    "another start": (FIRST, partial("bytes 1-39/100"), "content_range"),
    "less than asked": (FIRST, partial("bytes 0-38/100"), "content_range"),
    "more than asked": (FIRST, partial("bytes 0-40/100"), "content_range"),
    "the whole as a range": (FIRST, partial("bytes 0-99/100"), "content_range"),
    "a range nobody asked for": (WHOLE, partial("bytes 0-99/100"), "content_range"),
    "a shorter body": (FIRST, partial("bytes 0-39/100", content_length="39"), "length"),
    "a longer body": (FIRST, partial("bytes 0-39/100", content_length="100"), "length"),
    "no body": (FIRST, partial("bytes 0-39/100", content_length="0"), "length"),
    "gzip": (FIRST, partial("bytes 0-39/100", content_encoding="gzip"), "encoding"),
    "two codings": (FIRST, partial("bytes 0-39/100", content_encoding="identity, br"), "encoding"),
}


@pytest.mark.parametrize(("span", "headers", "reason"), LIES.values(), ids=LIES)
def test_a_lying_206_is_not_believed(span: Span, headers: dict[str, str], reason: str) -> None:
    with pytest.raises(OriginMismatch) as refused:
        believe(206, headers, span, None)
    assert (type(refused.value), refused.value.reason) == (OriginMismatch, reason)


LYING_COMPLETIONS: dict[str, tuple[dict[str, str], type[OriginMismatch], str]] = {
    "from the first byte": (partial("bytes 0-99/100"), OriginMismatch, "content_range"),
    "from the byte before": (partial("bytes 39-99/100"), OriginMismatch, "content_range"),
    "from the byte after": (partial("bytes 41-99/100"), OriginMismatch, "content_range"),
    "less than the rest": (partial("bytes 40-98/100"), OriginMismatch, "content_range"),
    "a total that grew": (partial("bytes 40-100/101"), OriginChanged, "total"),
    "a total that shrank": (partial("bytes 40-98/99"), OriginChanged, "total"),
    "another ETag": (partial("bytes 40-99/100", etag='"w"'), OriginChanged, "validator"),
    "an ETag in other letters": (partial("bytes 40-99/100", etag='"V"'), OriginChanged, "validator"),
    "a date for an ETag": (
        partial(
            "bytes 40-99/100",
            last_modified="Mon, 01 Jan 2024 00:00:00 GMT",
            date="Mon, 01 Jan 2024 00:00:09 GMT",
        ),
        OriginChanged,
        "validator",
    ),
}


@pytest.mark.parametrize(("headers", "kind", "reason"), LYING_COMPLETIONS.values(), ids=LYING_COMPLETIONS)
def test_a_lying_completion_is_not_believed(
    headers: dict[str, str], kind: type[OriginMismatch], reason: str
) -> None:
    with pytest.raises(OriginMismatch) as refused:
        believe(206, headers, REST, HELD)
    assert (type(refused.value), refused.value.reason) == (kind, reason)


def test_a_coded_body_is_undone_whole_and_its_length_is_not_believed() -> None:
    for coding in ("br", "x", "identity, gzip"):
        with pytest.raises(OriginMismatch) as refused:
            believe(200, {"content-type": LABEL, "content-encoding": coding}, WHOLE, None)
        assert refused.value.reason == "encoding"
    for coding in ("gzip", "GZIP", "deflate"):
        said = {"content-type": LABEL, "content-encoding": coding, "content-length": "9"}
        seen = believe(200, said, WHOLE, None)
        assert (seen.stop, seen.total, seen.has_ranges) == (None, None, False)
        with pytest.raises(OriginMismatch) as refused:
            believe(206, said | {"content-range": "bytes 0-39/100"}, FIRST, None)
        assert refused.value.reason == "encoding"
    for coding in ("identity", "Identity"):
        assert believe(200, {"content-encoding": coding}, WHOLE, None).start == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 410, 415, 499])
def test_a_refusal_keeps_its_status_and_its_challenge(status: int) -> None:
    for challenge in ({}, {"www-authenticate": "Bearer realm=x"}):
        with pytest.raises(OriginRefused) as refused:
            believe(status, challenge, FIRST, HELD)
        assert refused.value.status == status
        assert refused.value.challenge == challenge.get("www-authenticate")


@pytest.mark.parametrize(
    "status", [100, 103, 199, 201, 202, 203, 204, 205, 207, 226, 300, 301, 302, 304, 307, 308]
)
def test_a_status_that_means_nothing_for_a_frame_is_a_failure(status: int) -> None:
    with pytest.raises(OriginFailed, match=str(status)):
        believe(status, partial("bytes 0-39/100", location="http://elsewhere/"), FIRST, None)


@pytest.mark.parametrize("status", [500, 501, 505, 599, 600, 999, 0, -1])
def test_what_the_origin_could_not_do_is_a_failure(status: int) -> None:
    with pytest.raises(OriginFailed):
        believe(status, {}, FIRST, None)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("0", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", None), ("-1", None), ("9" * 9, None)],
)
def test_a_busy_origin_says_when_to_come_again(status: int, said: str, seconds: float | None) -> None:
    with pytest.raises(OriginBusy) as busy:
        believe(status, {"retry-after": said}, FIRST, None)
    assert (busy.value.status, busy.value.retry_after) == (status, seconds)


def test_a_416_is_a_change_where_bytes_are_held_and_else_a_lie() -> None:
    with pytest.raises(OriginChanged) as changed:
        believe(416, {"content-range": "bytes */30"}, REST, HELD)
    assert changed.value.reason == "total"
    with pytest.raises(OriginMismatch) as lied:
        believe(416, {"content-range": "bytes */0"}, FIRST, None)
    assert (type(lied.value), lied.value.reason) == (OriginMismatch, "content_range")


@pytest.mark.parametrize(
    ("value", "own", "shared"),
    [
        ("no-store", 0, 0),
        ("No-Store", 0, 0),
        ("private, no-store, max-age=9", 0, 0),
        ("", inf, inf),
        ("public, must-revalidate", inf, inf),
        ("no-cache", 0, 0),
        ('no-cache="set-cookie"', 0, 0),
        ("private", inf, 0),
        ('PRIVATE="x, y", max-age=60', 60, 0),
        ("max-age=60", 60, 60),
        ('max-age="60"', 60, 60),
        ("max-age = 60", 60, 60),
        ("max-age=0, must-revalidate", 0, 0),
        ("max-age=60, max-age=5", 5, 5),
        ("max-age=soon", 0, 0),
        ("max-age", 0, 0),
        ("max-age=1_0", 0, 0),
        ("max-age=60, s-maxage=5", 60, 5),
        ("max-age=0, s-maxage=50", 0, 50),
        ("s-maxage=0", inf, 0),
        ("x-no-store, immutable", inf, inf),
    ],
)
def test_an_answer_is_kept_as_long_as_its_cache_control_says(value: str, own: float, shared: float) -> None:
    for status, headers in ((200, {}), (206, {"content-range": "bytes 0-39/100"})):
        lease = believe(status, {"cache-control": value, **headers}, FIRST, None).lease
        assert (lease.own, lease.shared) == (own, shared)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"expires": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60),
        ({"expires": "Thu, 01 Jan 2026 00:01:00 GMT", "cache-control": "max-age=7"}, 7),
        ({"expires": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0),
        ({"expires": "0"}, 0),
        ({"vary": "*"}, 0),
        ({"vary": "Accept, *", "cache-control": "max-age=60"}, 0),
        ({"vary": "Accept, Origin"}, 100),
        ({"age": "30"}, 70),
        ({"age": "30", "cache-control": "max-age=60"}, 30),
        ({"age": "-1", "cache-control": "max-age=60"}, 60),
        ({"age": "99999999999999999999"}, 0),
    ],
)
def test_expires_age_and_vary_count(headers: dict[str, str], seconds: float) -> None:
    lease = lease_of({"date": "Thu, 01 Jan 2026 00:00:00 GMT", **headers})
    for is_shared in (True, False):
        assert max(0, lease.until(100, 1000, is_shared=is_shared) - 1000) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", inf),
        ("max-age=60", inf),
        ("max-age=60, stale-if-error=30", 30),
        ('stale-if-error="30", stale-if-error=20', 20),
        ("stale-if-error", 0),
        ("stale-if-error=-1", 0),
        ("stale-if-error=600, must-revalidate", 0),
        ("stale-if-error=600, proxy-revalidate", 0),
        ("stale-if-error=600, s-maxage=60", 0),
        ("stale-if-error=600, no-cache", 0),
        ("stale-if-error=600, no-store", 0),
        ("x-must-revalidate", inf),
    ],
)
def test_an_answer_says_how_long_it_may_stand_in_for_another(value: str, seconds: float) -> None:
    assert lease_of({"cache-control": value}).if_error == seconds


def test_a_304_says_it_anew_or_leaves_it_as_it_was() -> None:
    lease = lease_of({"cache-control": "max-age=0, stale-if-error=30"})
    assert renewed(lease, {}).if_error == 30
    assert renewed(lease, {"cache-control": "max-age=9"}).if_error == inf
    assert renewed(lease, {"cache-control": "must-revalidate"}).if_error == 0


@pytest.mark.parametrize("value", ["private", "no-cache", "max-age=0, must-revalidate", "s-maxage=0"])
def test_of_what_is_trusted_not_to_change_no_store_alone_counts(value: str) -> None:
    headers = {"cache-control": value, "vary": "*", "expires": "0", "age": "999"}
    assert lease_of(headers, is_trusted=True) == Lease()
    assert lease_of({"cache-control": f"{value}, no-store"}, is_trusted=True).own == 0


def test_no_word_of_an_origin_is_in_a_message() -> None:
    said = dict.fromkeys(["content-range", "content-encoding", "etag", "content-length"], "ZZSENTINEL")
    for status in (200, 206, 302, 404, 416, 500):
        with pytest.raises(OriginError) as refused:
            believe(status, said, FIRST, HELD)
        assert "ZZSENTINEL" not in str(refused.value)


words = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "bytes 0-39/100",
        "bytes 40-99/100",
        "bytes 0-99/100",
        "40",
        "60",
        "100",
        '"v"',
        'W/"v"',
        "gzip",
        LABEL,
    ]
)
names = st.sampled_from(
    ["content-range", "content-length", "etag", "content-type", "content-encoding", "cache-control"]
)


@FAST
@given(
    st.sampled_from([200, 206, 206, 206, 304, 404, 416, 500]),
    st.dictionaries(names, words),
    st.sampled_from([FIRST, REST, WHOLE, MIDDLE]),
    st.sampled_from([None, HELD]),
)
def test_whatever_an_origin_says_it_is_believed_as_asked_or_refused(
    status: int, headers: dict[str, str], span: Span, held: Claim | None
) -> None:
    try:
        seen = believe(status, headers, span, held)
    except OriginError:
        return
    assert seen.start == (0 if status == 200 else span.start)
    if status == 206:
        assert seen.stop is not None
        assert seen.total is not None
        assert seen.start < seen.stop <= seen.total
        assert held is None or seen.total == held.total


MONDAY = "Mon, 01 Jan 2024 00:00:{:02} GMT"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({}, None),
        ({"etag": '"a"'}, '"a"'),
        ({"etag": '""'}, '""'),
        ({"etag": '"a\'b!#~"'}, '"a\'b!#~"'),
        ({"etag": 'W/"a"'}, None),
        ({"etag": 'w/"a"'}, None),
        ({"etag": "a"}, None),
        ({"etag": '"a'}, None),
        ({"etag": '"a"b"'}, None),
        ({"etag": '"a b"'}, None),
        ({"etag": '"a\r\nx: y"'}, None),
        ({"etag": '"a\x7f"'}, None),
        ({"etag": '"\u20ac"'}, None),
        ({"etag": '"a", "b"'}, None),
        ({"etag": "*"}, None),
        # A weak ETag is not made up for by a date.
        ({"etag": 'W/"a"', "last-modified": MONDAY.format(0), "date": MONDAY.format(9)}, None),
        ({"etag": '"a"', "last-modified": MONDAY.format(0), "date": MONDAY.format(9)}, '"a"'),
        ({"last-modified": MONDAY.format(0)}, None),
        ({"date": MONDAY.format(9)}, None),
        ({"last-modified": MONDAY.format(0), "date": MONDAY.format(0)}, None),
        ({"last-modified": MONDAY.format(0), "date": MONDAY.format(1)}, MONDAY.format(0)),
        ({"last-modified": MONDAY.format(0), "date": MONDAY.format(59)}, MONDAY.format(0)),
        ({"last-modified": MONDAY.format(9), "date": MONDAY.format(0)}, None),
        ({"last-modified": "Mon, 01 Jan 2024 00:00:00 -0000", "date": MONDAY.format(9)}, None),
        ({"last-modified": MONDAY.format(0), "date": "Mon, 01 Jan 2024 00:00:09 -0000"}, None),
        ({"last-modified": "yesterday", "date": MONDAY.format(9)}, None),
        ({"last-modified": MONDAY.format(0), "date": "now"}, None),
        ({"last-modified": "0", "date": "0"}, None),
        ({"last-modified": ",", "date": ","}, None),
        ({"last-modified": "Mon, 99 Jan 2024 00:00:00 GMT", "date": MONDAY.format(9)}, None),
        ({"last-modified": "Mon, 01 Jan 2024 99:00:00 GMT", "date": MONDAY.format(9)}, None),
        ({"last-modified": "Mon, 01 Jan 2024 00:00:00 +9999", "date": MONDAY.format(9)}, None),
        ({"last-modified": "Mon, 01 Jan 99999 00:00:00 GMT", "date": MONDAY.format(9)}, None),
    ],
)
def test_what_may_stand_in_if_range(headers: dict[str, str], validator: str | None) -> None:
    assert strong_validator(headers) == validator


@pytest.mark.parametrize(
    "date",
    ["Mon, 99999999999999999999 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"],
)
def test_a_date_beyond_all_measure_is_no_validator(date: str) -> None:
    for headers in (
        {"last-modified": date, "date": MONDAY.format(9)},
        {"last-modified": MONDAY.format(0), "date": date},
    ):
        assert strong_validator(headers) is None


def test_a_validator_can_be_sent_back_as_it_is() -> None:
    validator = strong_validator({"etag": '"caf\xe9"'})
    assert validator is None or validator.isascii()


@FAST
@given(st.text("Mon, 0123JaGT:+-", max_size=40), st.text("Mon, 0123JaGT:+-", max_size=40))
def test_no_short_date_makes_it_fail(modified: str, date: str) -> None:
    assert strong_validator({"last-modified": modified, "date": date}) in (None, modified)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (LABEL, LABEL),
        (f'image/jphc; transfer-syntax="{SYNTAX}"', LABEL),
        (f"Image/JPHC ; Transfer-Syntax={SYNTAX}; q=1; x=y", LABEL),
        ("image/jphc", "image/jphc"),
        ("image/jphc; transfer-syntax=*", "image/jphc"),
        ("image/jphc; transfer-syntax=1.2;boundary=x", "image/jphc;transfer-syntax=1.2"),
        ('image/jphc; transfer-syntax="1.2\r\nSet-Cookie: a=b"', "image/jphc"),
        ('image/jphc; transfer-syntax="1.2\\"; boundary=x"', "image/jphc"),
        ('image/jphc; transfer-syntax="1.2\n"', LABEL.replace(SYNTAX, "1.2")),
        ("image/jphc; transfer-syntax=" + "1" * 65, "image/jphc"),
        ("image/jphc; transfer-syntax=\u0661", "image/jphc"),
        ("image/svg+xml", "image/svg+xml"),
        ("video/mp4", "video/mp4"),
        ("application/octet-stream", "application/octet-stream"),
    ],
)
def test_a_label_is_a_type_and_its_transfer_syntax(value: str, label: str) -> None:
    assert label_of(parse_media_type(value)) == label


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text/html",
        "application/json",
        "application/dicom",
        "multipart/related",
        "image",
        "image/",
        "image/*",
        "*/*",
        "image/jphc\r\nSet-Cookie: a=b",
        'image/jphc"; boundary="x',
        "image/jp hc",
        "image/jphc, image/jphc",
        "image/jphc\0",
        "image/\u017f",
    ],
)
def test_a_type_that_no_frame_has_is_refused(value: str) -> None:
    with pytest.raises(OriginMismatch) as refused:
        label_of(parse_media_type(value))
    assert refused.value.reason == "media_type"


@FAST
@given(st.text(max_size=30), st.text(max_size=20))
def test_a_label_can_always_stand_in_a_header(name: str, syntax: str) -> None:
    for media in (
        MediaType(name, {"transfer-syntax": syntax}),
        MediaType("image/jphc", {"transfer-syntax": syntax}),
        parse_media_type(f'image/{name}; transfer-syntax="{syntax}"'),
    ):
        try:
            label = label_of(media)
        except OriginMismatch:
            continue
        assert re.fullmatch(r"[a-z0-9/.+-]+(;transfer-syntax=[0-9.]{1,64})?", label, re.ASCII)


@pytest.mark.parametrize(("total", "is_believed"), [(179, False), (180, True), (186, True), (9999, False)])
def test_a_multipart_body_of_unknown_length_is_completed_by_ranges_of_all_of_it(
    total: int, is_believed: bool
) -> None:
    """Its first answer ended with its connection, so nobody knew what stands behind the part."""
    held = Claim(LABEL, 100, '"v"', offset=80, tail=None)
    answer = partial(f"bytes 120-179/{total}", etag='"v"') if total >= 180 else partial("bytes 120-178/179")
    if is_believed:
        assert believe(206, answer, Span(120, 180), held).stop == 180
    else:
        with pytest.raises(OriginError):
            believe(206, answer, Span(120, 180), held)
