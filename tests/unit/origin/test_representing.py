"""What of an origin's response may be kept, and for whom, by its head."""

import pytest

from proxy.cache.representation import Head, is_named
from proxy.errors import OriginFailed
from proxy.origin.representing import as_compressed, can_be_compressed, confirmed, head_of

JSON = {"content-type": "application/dicom+json", "content-length": "2"}


def seen(
    headers: dict[str, str] | None = None,
    status: int = 200,
    version: str = "HTTP/1.1",
    *,
    is_trusted: bool = False,
    is_personal: bool = False,
) -> Head:
    raw = [(name.encode(), value.encode()) for name, value in (JSON | (headers or {})).items() if value]
    return head_of(status, raw, version, is_trusted=is_trusted, is_personal=is_personal)


@pytest.mark.parametrize(
    ("headers", "is_kept", "is_kept_for_callers"),
    [
        ({}, True, True),
        ({"content-type": "text/xml"}, True, True),
        ({"content-type": "multipart/related; type=application/dicom"}, True, True),
        ({"content-type": "image/png", "cache-control": "public"}, True, True),
        ({"content-type": "text/html"}, False, False),
        ({"content-type": "text/plain"}, False, False),
        ({"content-type": "application/xhtml+xml"}, False, False),
        ({"cache-control": "no-store"}, False, False),
        ({"vary": "*"}, False, False),
        ({"cache-control": "private"}, False, True),
        ({"set-cookie": "a=1"}, False, True),
        ({"content-length": ""}, False, False),  # only the end of the connection ends it
        ({"content-length": "", "transfer-encoding": "chunked"}, True, True),
        ({"vary": "Accept, Accept-Encoding, Origin"}, True, True),
    ],
)
def test_a_200_may_be_kept(headers: dict[str, str], *, is_kept: bool, is_kept_for_callers: bool) -> None:
    assert seen(headers).is_kept == seen(headers).is_shared == is_kept
    assert seen(headers, is_personal=True).is_kept == is_kept_for_callers


@pytest.mark.parametrize("status", [201, 204, 206, 301, 304, 400, 401, 403, 404, 410, 429, 500, 503])
def test_nothing_else_is_kept_and_a_refusal_is_of_its_caller(status: int) -> None:
    head = seen(status=status)
    assert (head.is_kept, head.is_shared) == (False, status not in (301, 304, 401, 403))


def test_headers_of_this_connection_and_those_of_the_proxy_are_left_out() -> None:
    head = seen(
        {"connection": "x-hop", "x-hop": "1", "via": "1.1 a", "date": "now", "etag": '"a"', "x-more": "2"}
        | {"cache-control": "max-age=5", "set-cookie": "a=1"}
    )
    assert head.headers == (("content-type", "application/dicom+json"), ("x-more", "2"))
    assert (head.etag, head.length, head.coding) == ('"a"', 2, "")
    assert (head.caching, head.cookies) == ((("cache-control", "max-age=5"),), (("set-cookie", "a=1"),))


@pytest.mark.parametrize("said", ["no-cache", "must-revalidate", "max-age=9, proxy-revalidate"])
def test_an_origin_can_forbid_that_it_is_asked_behind(said: str) -> None:
    assert seen().may_be_stale
    assert not seen({"cache-control": said}).may_be_stale
    assert seen({"cache-control": said}, is_trusted=True).may_be_stale


def test_an_etag_that_is_none_is_left_out() -> None:
    assert seen({"etag": "bare"}).etag == ""
    assert is_named(seen({"etag": 'W/"a"'}).etag, '"a"')


def test_a_body_that_the_proxy_compresses_has_a_weak_etag_and_neither_length_nor_digest() -> None:
    head = as_compressed(seen({"etag": '"a"', "repr-digest": "sha-256=:x:", "content-md5": "x"}), "gzip")
    assert (head.etag, head.length, head.coding) == ('W/"a"', None, "gzip")
    assert [name for name, _ in head.headers] == ["content-type"]


def test_all_of_a_body_has_no_range() -> None:
    headers = {"content-range": "bytes 0-1/2"}
    assert "content-range" not in dict(seen(headers).headers)
    assert "content-range" in dict(seen(headers, status=206).headers)


@pytest.mark.parametrize(
    ("said", "coding", "is_kept"),
    [
        ("X-GZIP", "gzip", True),
        ("gzip, identity", "gzip", True),
        ("aws-chunked", "aws-chunked", True),
        ("br", "br", False),
        ("gzip, gzip, gzip", "gzip, gzip, gzip", False),
    ],
)
def test_a_body_is_kept_if_viewers_without_its_coding_can_have_it(
    said: str, coding: str, *, is_kept: bool
) -> None:
    head = seen({"content-encoding": said})
    assert (head.coding, head.is_kept) == (coding, is_kept)


def test_a_page_is_told_from_other_texts() -> None:
    assert seen({"content-type": "text/html; charset=utf-8"}).is_page
    assert not seen({"content-type": "text/xml"}).is_page
    assert not seen().is_page


@pytest.mark.parametrize(
    ("headers", "may_be"),
    [
        ({}, True),
        ({"cache-control": "a=1, no-transform"}, False),
        ({"content-encoding": "gzip"}, False),
    ],
)
def test_what_must_not_change_is_not_compressed(headers: dict[str, str], *, may_be: bool) -> None:
    assert can_be_compressed(seen(headers)) is may_be


def test_a_304_renews_the_lease() -> None:
    held = seen({"etag": '"a"', "cache-control": "max-age=5"})
    lease, may_be_stale = confirmed(seen({"cache-control": "max-age=9, must-revalidate"}, 304), held)
    assert (lease.own, may_be_stale, lease.condition) == (9.0, False, held.lease.condition)
    lease, may_be_stale = confirmed(seen({}, 304), held)
    assert (lease.own, may_be_stale) == (5.0, True)


def test_a_header_that_is_no_text_is_refused() -> None:
    with pytest.raises(OriginFailed):
        head_of(200, [(b"x", b"\xff")], "HTTP/1.1", is_trusted=False, is_personal=False)
