"""Text under the label of a frame; the stories with whole pages are in tests/stories/test_kept.py."""

import pytest

from proxy.wire.text import SHORT, is_text

RAW = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"


@pytest.mark.parametrize("pixels", [b"\xfe\xfd" * 100, b"a" * 99 + b"\xc3", b"\xc3(" * 50])
def test_short_pixels_that_are_no_utf_8_are_pixels(pixels: bytes) -> None:
    assert not is_text(RAW, pixels, len(pixels))


def test_a_character_that_the_first_bytes_cut_is_text_all_the_same() -> None:
    leading = b"[ {" + b"a" * 100 + b"\xc3"
    assert is_text(RAW, leading, SHORT + 1)
    assert not is_text(RAW, leading, len(leading))
