"""HTJ2K named in metadata: in one piece, byte by byte, and only where it is so."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs.decode import JPEG, JPEG_2000, JPEG_LS, PLAIN, RLE
from proxy.wire.media import HTJ2K, HTJ2K_RPCL
from proxy.wire.naming import CONVERTIBLE, LONGEST, SyntaxNaming

UID = "1.2.840.10008.1.2"
BASELINE = f"{UID}.4.50"


def instance(
    syntax: str | list[str] = BASELINE, bits: int | None = 8, more: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An instance in DICOM JSON, in order of its tags."""
    values = [syntax] if isinstance(syntax, str) else syntax
    made: dict[str, Any] = {"00083002": {"vr": "UI", "Value": values}} if values else {}
    made |= {"00100010": {"vr": "PN", "Value": [{"Alphabetic": 'A "[{\\ Ü'}]}}
    made |= {"00280100": {"vr": "US", "Value": [bits]}} if bits else {}
    return made | (more or {})


def named(text: bytes, sizes: list[int] | None = None) -> bytes:
    """The text after it came in pieces of these sizes, the last of which goes on."""
    naming, done, at = SyntaxNaming(), b"", 0
    for size in sizes or []:
        done += naming.feed(text[at : at + size])
        at += size
    return done + naming.feed(text[at:]) + naming.end()


def syntaxes(text: bytes) -> list[list[str]]:
    return [each.get("00083002", {}).get("Value", []) for each in json.loads(text)]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", " :\t")])
def test_htj2k_is_listed_first_and_the_stored_form_behind(separators: tuple[str, str]) -> None:
    whole = [instance(), instance(f"{UID}.1", 16), instance([f"{UID}.4.90", f"{UID}.1"])]
    text = json.dumps(whole, separators=separators).encode()
    assert syntaxes(named(text)) == [
        [HTJ2K_RPCL, BASELINE],
        [HTJ2K_RPCL, f"{UID}.1"],
        [HTJ2K_RPCL, f"{UID}.4.90", f"{UID}.1"],
    ]
    for each in whole:
        each["00083002"]["Value"].insert(0, HTJ2K_RPCL)
    assert json.loads(named(text)) == whole


def test_the_syntax_of_a_file_is_replaced() -> None:
    file = {"00020010": {"vr": "UI", "Value": [BASELINE]}}
    (got,) = json.loads(named(json.dumps([file | instance([])]).encode()))
    assert got == {"00020010": {"vr": "UI", "Value": [HTJ2K_RPCL]}} | instance([])


UNTOUCHED = {
    "no pixels": instance(f"{UID}.1", None),
    "one bit": instance(f"{UID}.1", 1),
    "32 bits": instance(f"{UID}.1", 32),
    "video": instance(f"{UID}.4.102"),
    "HTJ2K": instance(f"{UID}.4.203"),
    "both": instance([BASELINE, f"{UID}.4.201"]),
    "big endian": instance(f"{UID}.2"),
    "no syntax": instance([]),
    "in a sequence": instance(
        [], more={"00081115": {"vr": "SQ", "Value": [{"00083002": {"vr": "UI", "Value": [BASELINE]}}]}}
    ),
    "as a text": instance([], more={"00204000": {"vr": "LT", "Value": ['"00083002": {"Value": ["1.2"]}']}}),
    "an empty value": instance([], more={"00083002": {"vr": "UI"}}),
}


@pytest.mark.parametrize("whole", UNTOUCHED.values(), ids=UNTOUCHED)
def test_other_instances_stay_as_they_are(whole: dict[str, Any]) -> None:
    text = json.dumps([whole, instance(), whole]).encode()
    expected = json.dumps([whole, "between", whole]).encode()
    before, after = expected.split(b'"between"')
    assert named(text).startswith(before)
    assert named(text).endswith(after)
    assert syntaxes(named(text))[1] == [HTJ2K_RPCL, BASELINE]


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b"null", b"[{", b'["', b"]]}", b'[{"00083002', b"\xff\xfe", b'[{"a": "\\']
)
def test_any_other_text_stays_as_it_is(text: bytes) -> None:
    assert named(text) == text
    assert named(text, [1] * len(text)) == text


def test_it_is_the_same_byte_by_byte() -> None:
    text = json.dumps([*UNTOUCHED.values(), instance(), {"x": "\\" * 99 + '"' * 9}], ensure_ascii=False)
    content = text.encode()
    assert named(content, [1] * len(content)) == named(content)


@given(st.lists(st.integers(1, 200), max_size=60), st.integers(0, 9))
def test_it_is_the_same_in_any_pieces(sizes: list[int], seed: int) -> None:
    chance = random.Random(seed)
    long = {"00420011": {"vr": "OB", "InlineBinary": "\\\\[{" * chance.randrange(200)}}
    content = json.dumps(
        [instance(more=long), UNTOUCHED["no pixels"], instance(f"{UID}.5", 16, long)]
    ).encode()
    assert named(content, sizes) == named(content)
    assert syntaxes(named(content))[2] == [HTJ2K_RPCL, f"{UID}.5"]


def test_of_a_long_instance_only_the_beginning_is_kept() -> None:
    frames = [
        {"00209111": {"vr": "SQ", "Value": [{"00209057": {"vr": "UL", "Value": [n]}}]}} for n in range(9999)
    ]
    text = json.dumps([instance(more={"52009230": {"vr": "SQ", "Value": frames}}), instance()]).encode()
    assert len(text) > 2 * LONGEST
    naming, done = SyntaxNaming(), b""
    for at in range(0, len(text), 10_000):
        done += naming.feed(text[at : at + 10_000])
        assert len(naming._kept) <= LONGEST + 10_000
    done += naming.end()
    assert syntaxes(done) == [[HTJ2K_RPCL, BASELINE]] * 2
    assert len(done) == len(text) + 2 * len(f'"{HTJ2K_RPCL}",')


def test_a_long_string_is_looked_at_once() -> None:
    text = b'[{"a": "' + b"\\\\" * 500_000 + b'"}, ' + json.dumps(instance()).encode() + b"]"
    naming = SyntaxNaming()
    done = b"".join(naming.feed(text[at : at + 1000]) for at in range(0, len(text), 1000)) + naming.end()
    assert json.loads(done)[1]["00083002"]["Value"] == [HTJ2K_RPCL, BASELINE]
    assert len(naming._kept) == 0


def test_what_is_named_can_be_decoded() -> None:
    assert PLAIN | {RLE} | JPEG | JPEG_LS | JPEG_2000 == CONVERTIBLE
    assert not CONVERTIBLE & HTJ2K
