import random
from collections.abc import Iterable
from email import message_from_bytes
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import OriginMismatch
from proxy.wire.multipart import MAX_PART_HEADER, SINGLE_PART, PartReader, Wrapping, wrap
from proxy.wire.ranges import Span

FAST = settings(deadline=None, database=None)
LABEL = "image/jphc;transfer-syntax=1.2.840.10008.1.2.4.202"
CODESTREAM = b"\xff\x4f\xff\x51" + random.Random(7).randbytes(3000) + b"\r\n--\r\n\r\n--almost\r\n\xff\xd9"
HEAD = f"--edge\r\nContent-Type: {LABEL}\r\n\r\n".encode()
BODY = HEAD + CODESTREAM + b"\r\n--edge--"


def read(chunks: Iterable[bytes]) -> tuple[bytes, PartReader]:
    """Returns all that a reader yields, and the reader."""
    reader = PartReader()
    got = b"".join([reader.feed(chunk) for chunk in chunks])
    return got + reader.finish(), reader


def each_byte(body: bytes) -> Iterable[bytes]:
    return (body[at : at + 1] for at in range(len(body)))


BODIES = {
    "as the grammar says": BODY,
    "a line end after it": BODY + b"\r\n",
    "an epilogue": BODY + b"\r\nbytes that nobody should read \r\n\r\n",
    "a second part": BODY[:-2] + b"\r\nContent-Type: image/jphc\r\n\r\nsecond\r\n--edge--",
    "the closing delimiter again": BODY + BODY,
    "a line end before it": b"\r\n" + BODY,
    "spaces after the delimiter": BODY.replace(b"--edge\r\n", b"--edge \t\r\n", 1),
    "a closing delimiter without its dashes": BODY.removesuffix(b"--"),
    "a closing delimiter with one dash": BODY.removesuffix(b"-"),
    "a length of its own": BODY.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(CODESTREAM), 1),
    "a wrong length of its own": BODY.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n", 1),
    "more headers": BODY.replace(
        b"--edge\r\n", b"--edge\r\nContent-Location: /a:b\r\nMIME-Version: 1.0\r\n", 1
    ),
    "a header of small letters": BODY.replace(b"Content-Type: ", b"content-type:", 1),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_part_is_read_whole_and_byte_by_byte(body: bytes) -> None:
    for chunks in ([body], each_byte(body), [body[:50], b"", body[50:]]):
        got, reader = read(chunks)
        assert got == CODESTREAM
        assert reader.is_done
        assert reader.media_type is not None
        assert reader.media_type.name == "image/jphc"
        assert reader.media_type.parameters == {"transfer-syntax": "1.2.840.10008.1.2.4.202"}


def test_without_a_closing_delimiter_the_part_ends_with_the_body() -> None:
    body = HEAD + CODESTREAM
    for chunks in ([body], each_byte(body)):
        got, reader = read(chunks)
        assert got == CODESTREAM
        assert not reader.is_done


def test_bytes_come_before_the_delimiter_is_seen() -> None:
    reader = PartReader()
    got = reader.feed(HEAD + CODESTREAM)
    assert CODESTREAM.startswith(got)
    assert len(CODESTREAM) - len(got) < len(b"\r\n--edge")


def test_after_the_delimiter_nothing_comes() -> None:
    _, reader = read([BODY])
    assert reader.feed(b"\r\n--edge\r\nContent-Type: image/jphc\r\n\r\nmore") == b""
    assert reader.finish() == b""


def test_a_part_without_headers_has_no_type() -> None:
    got, reader = read([b"--edge\r\n\r\n" + CODESTREAM + b"\r\n--edge--"])
    assert got == CODESTREAM
    assert reader.media_type is not None
    assert reader.media_type.name == ""


def test_an_empty_part_is_empty() -> None:
    got, reader = read([HEAD + b"\r\n--edge--"])
    assert (got, reader.is_done) == (b"", True)


NO_MULTIPART = {
    "nothing": b"",
    "a page": b"<html>\r\n\r\nwho are you?</html>",
    "a codestream": CODESTREAM,
    "dashes alone": b"--\r\nContent-Type: image/jphc\r\n\r\n" + CODESTREAM,
    "a preamble": b"This is a message\r\n" + BODY,
    "line ends without returns": BODY.replace(b"\r\n", b"\n"),
    "a header without its end": b"--edge\r\nContent-Type: image/jphc\r\n",
}


@pytest.mark.parametrize("body", NO_MULTIPART.values(), ids=NO_MULTIPART)
def test_what_is_no_multipart_is_refused(body: bytes) -> None:
    for chunks in ([body], each_byte(body)):
        with pytest.raises(OriginMismatch) as refused:
            read(chunks)
        assert refused.value.reason == "multipart"


@pytest.mark.parametrize("size", [1, 7, 1000, 65536])
def test_a_header_without_an_end_is_refused_early(size: int) -> None:
    reader = PartReader()
    reader.feed(b"--edge\r\n")
    fed = 0
    with pytest.raises(OriginMismatch):
        while True:
            reader.feed(b"a" * size)
            fed += size
            assert fed <= MAX_PART_HEADER
    assert fed <= MAX_PART_HEADER


def test_ten_megabytes_of_header_are_refused_even_if_they_end() -> None:
    header = b"--edge\r\n" + b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 250_000 + b"\r\n"
    for body in (header, header + CODESTREAM, b"--" + b"e" * 10_000_000, b"--e\r\nX: " + b" " * 10_000_000):
        with pytest.raises(OriginMismatch):
            PartReader().feed(body)


def test_the_largest_header_is_taken_and_one_byte_more_is_not() -> None:
    lines = b"--edge\r\nContent-Type: image/jphc\r\nX: "
    largest = lines + b"x" * (MAX_PART_HEADER - len(lines))
    assert read([largest + b"\r\n\r\nbytes\r\n--edge--"])[0] == b"bytes"
    with pytest.raises(OriginMismatch):
        read([largest + b"x\r\n\r\nbytes\r\n--edge--"])


def test_a_long_body_takes_one_look_at_each_byte() -> None:
    filler = b"\r\n--edg" * 150_000  # almost a delimiter everywhere
    assert read([HEAD, *(filler[at : at + 1000] for at in range(0, len(filler), 1000))])[0] == filler


fragments = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"\r\n--e", b"--edge", b"\0", b"\xff"]),
    max_size=12,
).map(b"".join)


@FAST
@given(fragments.filter(lambda body: b"\r\n--edge" not in body), st.data())
def test_any_codestream_in_any_chunks_comes_out_as_it_went_in(body: bytes, data: st.DataObject) -> None:
    whole = HEAD + body + b"\r\n--edge--"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    got, reader = read(chunks)
    assert (got, reader.is_done) == (body, True)


@FAST
@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_read_but_nothing_else(body: bytes) -> None:
    for start in (b"", b"--", HEAD):
        try:
            got, _ = read([start + body])
        except OriginMismatch:
            continue
        assert got in start + body


@FAST
@given(st.binary(max_size=300) | fragments)
def test_our_envelope_is_read_by_us_and_by_pythons_email_package(codestream: bytes) -> None:
    boundary = "0f" * 16
    envelope = wrap(boundary, LABEL)
    body = envelope.before + codestream + envelope.after
    got, reader = read([body])
    assert (got, reader.is_done) == (codestream, True)
    head = f'Content-Type: multipart/related; type="image/jphc"; boundary={boundary}\r\n\r\n'
    message = message_from_bytes(head.encode() + body)
    assert not message.defects
    _, part = message.walk()
    assert part.get_payload(decode=True) == codestream
    assert part["Content-Type"] == LABEL
    assert envelope.total(len(codestream)) == len(body)


def test_our_part_header_is_spelled_as_viewers_need_it() -> None:
    envelope = wrap("edge", LABEL)
    assert envelope.before == b"--edge\r\nContent-Type: " + LABEL.encode() + b"\r\n\r\n"
    assert envelope.after == b"\r\n--edge--"


def test_every_cut_of_a_representation_is_what_slicing_gives() -> None:
    for lead, size, tail in product(range(4), range(4), range(4)):
        before, codestream, after = b"abc"[:lead], b"DEFG"[:size], b"xyz"[:tail]
        wrapping, whole = Wrapping(before, after), before + codestream + after
        assert wrapping.total(size) == len(whole)
        for start in range(len(whole) + 1):
            for stop in (None, *range(start, len(whole) + 1)):
                first, inner, last = wrapping.cut(Span(start, stop), size)
                middle = codestream[inner.start : inner.stop]
                assert first + middle + last == whole[start:stop]
                assert inner.stop is not None
                assert 0 <= inner.start <= inner.stop <= size


def test_no_more_of_a_codestream_is_needed_than_a_cut_reaches() -> None:
    for lead, size, tail in product(range(4), range(4), range(4)):
        wrapping = Wrapping(b"abc"[:lead], b"xyz"[:tail])
        for stop in range(wrapping.total(size) + 1):
            reached = len([at for at in range(size) if lead + at < stop])
            assert wrapping.stop_in_codestream(stop, size) == reached


@FAST
@given(st.binary(max_size=30), st.data())
def test_a_single_part_is_the_codestream(codestream: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(codestream)))
    stop = data.draw(st.integers(start, len(codestream)))
    assert SINGLE_PART.cut(Span(start, stop), len(codestream)) == (b"", Span(start, stop), b"")
    assert SINGLE_PART.total(len(codestream)) == len(codestream)


@FAST
@given(st.binary(max_size=40), st.binary(max_size=60), st.binary(max_size=40), st.data())
def test_pieces_of_a_representation_join_to_the_whole(
    before: bytes, codestream: bytes, after: bytes, data: st.DataObject
) -> None:
    wrapping, whole = Wrapping(before, after), before + codestream + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    got = b""
    for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        first, inner, last = wrapping.cut(Span(start, stop), len(codestream))
        got += first + codestream[inner.start : inner.stop] + last
    assert got == whole
