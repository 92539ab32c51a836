from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.wire.media import HTJ2K, Envelope, parse_media_type, wanted_envelope

FAST = settings(deadline=None, database=None)
RPCL = "1.2.840.10008.1.2.4.202"
MEGABYTE = 1024 * 1024

MULTIPART = [
    None,
    "",
    " ",
    "undefined",  # Cornerstone3D's stream with `accept=` in the URL
    "*/*",
    "multipart/related",
    "multipart/related; type=application/octet-stream; transfer-syntax=*",  # Cornerstone3D
    'multipart/related; type="application/octet-stream"; transfer-syntax="*"',  # OHIF
    'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    "multipart/related;type=application/octet-stream;transfer-syntax=*",
    "multipart/related ; type = application/octet-stream ; transfer-syntax = *",
    f"multipart/related; type=application/octet-stream; transfer-syntax={RPCL}; transfer-syntax=*",  # OHIF
    f"multipart/related; type=image/jphc; transfer-syntax={RPCL}; transfer-syntax=*",
    f'multipart/related; type="image/jphc"; transfer-syntax={RPCL}',
    f'multipart/related; type="image/jphc; transfer-syntax={RPCL}"',  # Orthanc
    'multipart/related; type="image/jphc;transfer-syntax=*"',
    'multipart/related; type="application/octet-stream; transfer-syntax=*"',
    'multipart/related; type="image/jphc"',
    'multipart/related; type="image/*"',
    'multipart/related; type="*/*"; transfer-syntax=*',
    "Multipart/Related; Type=Image/JPHC; Transfer-Syntax=*",
    'multipart/related; type=image/jphc; boundary="a;b,c"; transfer-syntax=*',
    "multipart/related; type=image/x-jls, multipart/related; type=image/jphc",  # OHIF's array, joined
    'multipart/related; type="image/png", */*;q=0.1',
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",  # a browser's address line
    "image/jphc;q=0.5, multipart/related; type=image/jphc",
    "image/jphc;q=0, */*",
    "image/jphc;q=NaN, */*;q=0.001",
]
SINGLE = [
    "image/jphc",
    "Image/JPHC",
    " image/jphc ",
    f"image/jphc; transfer-syntax={RPCL}",
    f'image/jphc; transfer-syntax="{RPCL}"',
    "image/jphc;transfer-syntax=*",
    "image/*",
    "application/octet-stream; transfer-syntax=*",
    f"application/octet-stream; transfer-syntax={RPCL}",
    "image/jphc, multipart/related; type=image/jphc;q=0.9",
    "multipart/related; type=image/jphc;q=0.9, image/jphc",
    "image/png, image/jphc;q=0.5",
    "image/jphc;q=0.001",
    "image/jphc;Q=1",
    "image/jphc;q=7",
    ", ,image/jphc,",
    "image/jphc;;",
]
NEITHER = [
    "image/png",
    "image/jpeg",
    "image/jph",
    "image/j2c",
    "text/html",
    "application/dicom",
    "application/dicom+json",
    "application/octet-stream",
    "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
    "image/jphc; transfer-syntax=1.2.840.10008.1.2.1",
    "image/jphc;q=0",
    "image/jphc;q=0.0",
    "image/jphc;q=-1",
    "image/jphc;q=nonsense",
    "image/jphc;q=nan",
    "*/*;q=0",
    "multipart/related; type=application/octet-stream",
    "multipart/related; type=image/jphc; q=0",
    "multipart/related; type=image/jls; transfer-syntax=1.2.840.10008.1.2.4.80",
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    'multipart/related; type="image/jls;transfer-syntax=1.2.840.10008.1.2.4.80"',
    # The first of repeated parameters counts: it is the one that this viewer prefers.
    "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2; transfer-syntax=*",
    "multipart/mixed; type=image/jphc",
    "undefined, undefined",
    ",",
    ";",
    "q=1",
    '"',
    "\\",
    "/",
]


@pytest.mark.parametrize("accept", MULTIPART)
def test_viewers_that_want_multipart(accept: str | None) -> None:
    assert wanted_envelope(accept) is Envelope.MULTIPART


@pytest.mark.parametrize("accept", SINGLE)
def test_viewers_that_want_a_single_part(accept: str) -> None:
    assert wanted_envelope(accept) is Envelope.SINGLE


@pytest.mark.parametrize("accept", NEITHER)
def test_viewers_that_want_no_htj2k(accept: str) -> None:
    assert wanted_envelope(accept) is None


@pytest.mark.parametrize("syntax", sorted(HTJ2K))
def test_every_transfer_syntax_of_htj2k_is_taken_in_every_place(syntax: str) -> None:
    assert wanted_envelope(f"image/jphc; transfer-syntax={syntax}") is Envelope.SINGLE
    for inner in (f'"image/jphc;transfer-syntax={syntax}"', f"image/jphc; transfer-syntax={syntax}"):
        assert wanted_envelope(f"multipart/related; type={inner}") is Envelope.MULTIPART


def test_an_escaped_quote_belongs_to_its_value() -> None:
    media = parse_media_type(r'a/b; x="say \"hi\", a\\b"; y=1')
    assert media.parameters == {"x": r'say "hi", a\b', "y": "1"}


def test_an_open_quote_ends_with_the_text() -> None:
    assert parse_media_type('image/jphc; x="open; transfer-syntax=*').name == "image/jphc"


tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789.-+*/", min_size=1, max_size=12)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8).filter(lambda n: n.strip("-"))


@FAST
@given(names, tokens)
def test_quotes_around_a_value_change_nothing(name: str, value: str) -> None:
    plain, quoted = parse_media_type(f"a/b; {name}={value}"), parse_media_type(f'a/b;{name}="{value}"')
    assert plain == quoted
    assert plain.parameters == {name: value}


@FAST
@given(st.dictionaries(names, tokens, max_size=4))
def test_what_is_well_written_reads_as_pythons_email_package_reads_it(parameters: dict[str, str]) -> None:
    text = "".join(["image/jphc", *(f'; {name}="{value}"' for name, value in parameters.items())])
    message = Message()
    message["content-type"] = text
    media = parse_media_type(text)
    assert media.name == message.get_content_type()
    assert list(media.parameters.items()) == message.get_params([])[1:]


@FAST
@given(st.text(max_size=60) | st.text('aq/=;,"\\* \t.0', max_size=60))
def test_no_text_makes_it_fail(text: str) -> None:
    media = parse_media_type(text)
    assert 0.0 <= media.quality <= 1.0
    assert wanted_envelope(text) in (None, *Envelope)


@FAST
@given(
    st.sampled_from([a for a in (*MULTIPART, *SINGLE, *NEITHER) if a]),
    st.integers(0, 90),
    st.text(max_size=3),
)
def test_no_slip_in_an_accept_makes_it_fail(accept: str, at: int, slip: str) -> None:
    assert wanted_envelope(accept[:at] + slip + accept[at:]) in (None, *Envelope)
    assert wanted_envelope(accept[:at]) in (None, *Envelope)


@pytest.mark.parametrize("filler", ["a", ",", ";", "=", " ", '"', "a=1;", '"a"', "image/png,", '";', "\\"])
def test_a_quarter_of_a_megabyte_of_accept_is_read_to_its_end(filler: str) -> None:
    assert wanted_envelope("image/jphc," + filler * (MEGABYTE // 4 // len(filler))) in (None, *Envelope)


@pytest.mark.parametrize(
    "text", ['\\"' * MEGABYTE, "a/b;a=" + " " * MEGABYTE + '"," x'], ids=["quotes", "spaces"]
)
def test_twice_the_accept_takes_twice_the_time(text: str) -> None:
    assert wanted_envelope(text) is None
    assert parse_media_type(text).parameters.keys() <= {"a"}
