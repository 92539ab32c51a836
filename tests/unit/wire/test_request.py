"""URLs as viewers assemble them, and the proxy's own arguments in them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BadResource
from proxy.wire.media import Envelope, wanted_envelope
from proxy.wire.request import Request, own_arguments, read_request

FAST = settings(deadline=None, database=None)
RPCL = "1.2.840.10008.1.2.4.202"


def read(query: str, *accepts: str) -> Request:
    return read_request("get", b"/a/frames/1", query.encode(), [(b"Accept", a.encode()) for a in accepts])


ACCEPTS = {
    "accept=image/jphc": "image/jphc",
    "accept=image%2Fjphc": "image/jphc",
    "accept=image/jphc;transfer-syntax=*": "image/jphc;transfer-syntax=*",
    f"accept=image/jphc%3B%20transfer-syntax%3D{RPCL}": f"image/jphc; transfer-syntax={RPCL}",
    "accept=multipart/related;%20type=%22image/jphc%22": 'multipart/related; type="image/jphc"',
    "accept=multipart/related;type=image/jphc": "multipart/related;type=image/jphc",
    "accept=image/png,image/jphc": "image/png,image/jphc",
    "accept=undefined": "undefined",
    "fsiz=1,2&accept=image/jphc": "image/jphc",
    "fsiz=1,2?accept=image/jphc": "image/jphc",
    "accept=image/jphc?fsiz=1,2": "image/jphc",
    "target=1?fsiz=1,2&accept=image/jphc": "image/jphc",
    "?accept=image/jphc": "image/jphc",
    "&&accept=image/jphc&?&": "image/jphc",
    "accept=image/jphc&accept=image/png": "image/jphc",
}
"""For each query, what it requests."""


@pytest.mark.parametrize("query", ACCEPTS)
def test_the_argument_goes_before_the_header(query: str) -> None:
    assert read(query, "text/html").accept == ACCEPTS[query]
    assert "accept" not in read(query).others


@pytest.mark.parametrize("query", ["", "accept=", "accept", "acceptance=image/jphc", "x=accept=image/jphc"])
def test_without_the_argument_the_header_counts(query: str) -> None:
    assert read(query, "image/jphc").accept == "image/jphc"
    assert read(query).accept is None


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_a_cookie_beyond_ascii_is_read_as_its_browser_wrote_it(coding: str) -> None:
    headers = [(b"Cookie", "name=Ärztin".encode(coding))]
    assert read_request("get", b"/a", b"", headers).header("cookie") == "name=Ärztin"


def test_several_headers_are_one_list() -> None:
    request = read("", "image/png", "image/jphc;q=0.5")
    assert request.accept == "image/png, image/jphc;q=0.5"
    assert wanted_envelope(request.accept) is Envelope.SINGLE


OTHERS = {
    "": "",
    "?": "",
    "target=1?fsiz=128,128": "target=1&fsiz=128,128",
    "a=1&profile=x?b=%41&accept=*/*": "a=1&b=%41",
    "a=1&a=2": "a=1&a=2",
    "a&=b&c=": "a&=b&c=",
    "Accept=image/jphc": "Accept=image/jphc",
}


@pytest.mark.parametrize("query", OTHERS)
def test_what_is_not_ours_stays_as_it_came(query: str) -> None:
    assert read(query).others == OTHERS[query]


@FAST
@given(st.text("ab=?&%2cfsiz,", max_size=40))
def test_a_second_question_mark_is_an_ampersand(query: str) -> None:
    assert own_arguments(query) == own_arguments(query.replace("?", "&"))


@FAST
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(path: bytes, query: bytes) -> None:
    try:
        request = read_request("GET", path, query, [])
    except BadResource:
        assert not path.startswith(b"/") or not (path + query).isascii()
    else:
        assert (b"/" + request.path.encode(), request.query.encode()) == (path, query)
