"""Bases of URLs in JSON, replaced however the text is cut into chunks."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.rewriting import JsonBases, JsonRewriting

BASES = ["http://pacs:80/dicom-web", "http://pacs/dicom-web", "http://pacs"]
PUBLIC = "https://imaging.example/pacs"


def rewritten(chunks: Sequence[bytes], bases: Sequence[str] = BASES, public: str = PUBLIC) -> bytes:
    rewriting = JsonRewriting(JsonBases(bases, public))
    return b"".join([*map(rewriting.feed, chunks), rewriting.end()])


CASES = {
    '{"BulkDataURI" : "http://pacs/dicom-web/bulk/1"}': '{"BulkDataURI" : "https://imaging.example/pacs/bulk/1"}',
    '["http://pacs/dicom-web","http://pacs/dicom-web?a","http://pacs/dicom-web#"]': (
        '["https://imaging.example/pacs","https://imaging.example/pacs?a","https://imaging.example/pacs#"]'
    ),
    '["http://pacs:80/dicom-web/1"]': '["https://imaging.example/pacs/1"]',
    r'["http:\/\/pacs\/dicom-web\/1"]': r'["https:\/\/imaging.example\/pacs\/1"]',
    '["http://pacs/dicom-web2"]': '["https://imaging.example/pacs/dicom-web2"]',
    '["http://pacs2/dicom-web/1"]': '["http://pacs2/dicom-web/1"]',
    '["http://pacs:8080/dicom-web/1"]': '["http://pacs:8080/dicom-web/1"]',
    '["see http://pacs/dicom-web/1"]': '["see http://pacs/dicom-web/1"]',
    r'["\"http://pacs/dicom-web/1\""]': r'["\"http://pacs/dicom-web/1\""]',
    r'["\\","http://pacs/1"]': r'["\\","https://imaging.example/pacs/1"]',
    '["http://pacs"]': '["https://imaging.example/pacs"]',
    '["","http://pacs/","' + "é" * 90 + '"]': '["","https://imaging.example/pacs/","' + "é" * 90 + '"]',
    '["http://pacs/dicom-we': '["https://imaging.example/pacs/dicom-we',
    '["http://pac': '["http://pac',
    "": "",
}


@pytest.mark.parametrize(("text", "becomes"), CASES.items())
def test_a_base_at_the_start_of_a_string_is_replaced_and_nothing_else(text: str, becomes: str) -> None:
    assert rewritten([text.encode()]).decode() == becomes


@pytest.mark.parametrize("text", CASES)
def test_it_does_not_matter_where_the_chunks_end(text: str) -> None:
    whole = rewritten([text.encode()])
    content = text.encode()
    assert rewritten([content[at : at + 1] for at in range(len(content))]) == whole
    for at in range(len(content)):
        assert rewritten([content[:at], content[at:]]) == whole
        assert rewritten([content[:at], b"", content[at : at + 1], content[at + 1 :]]) == whole


PIECES = st.sampled_from(["http://pacs", "/dicom-web", ":80", "/", "2", '"', "\\", "a", ""])
TEXTS = st.lists(st.lists(PIECES).map("".join), max_size=4)


@given(TEXTS, st.lists(st.integers(0, 200)), st.booleans())
def test_any_json_stays_that_json_with_its_bases_replaced(
    texts: list[str], cuts: list[int], is_escaped: bool
) -> None:
    content = json.dumps(texts)
    content = content.replace("/", r"\/") if is_escaped else content
    ends = sorted({0, *(min(cut, len(content)) for cut in cuts), len(content)})
    chunks = [content[a:b].encode() for a, b in pairwise(ends)]
    assert json.loads(rewritten(chunks) or b"[]") == [replaced(text) for text in texts]


def replaced(text: str) -> str:
    """The same by another way: of the bases that end as a part of a URL, the longest goes."""
    for base in BASES:
        rest = text.removeprefix(base)
        if rest != text and (not rest or rest[0] in '/"\\'):
            return PUBLIC + rest
    return text


def test_bytes_that_are_no_text_pass() -> None:
    content = b'\xff\xfe"http://pacs/\xff"'
    assert rewritten([content]) == b'\xff\xfe"https://imaging.example/pacs/\xff"'


def test_what_is_kept_for_the_next_chunk_is_short() -> None:
    rewriting = JsonRewriting(JsonBases(BASES, PUBLIC))
    for chunk in (b'"' * 100_000, b'"http://pac' * 10_000, b'"http:' + b"/" * 100_000, b"\\" * 100_000):
        sent = len(rewriting.feed(chunk))
        assert len(chunk) - 200 <= sent <= len(chunk) + 200


def test_a_base_may_have_letters_that_are_not_ascii() -> None:
    assert (
        rewritten([b'["http://pacs/\xc3\xa4/1"]'], ["http://pacs/ä"], "http://a/ö").decode()
        == '["http://a/ö/1"]'
    )
