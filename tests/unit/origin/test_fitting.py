"""Whether an origin sent the form that was asked for: its label, and the bytes."""

import imagecodecs
import numpy as np
import pytest

from proxy.origin.fitting import fitted
from proxy.origin.spellings import FORMS, HTJ2K_OR_STORED, spellings_of
from tests.codestreams import PARTS, htj2k, picture

UID = "1.2.840.10008.1.2"
OCTETS = "application/octet-stream"
BASELINE = f"image/jpeg;transfer-syntax={UID}.4.50"
PIXELS = picture(64, 64, dtype="u1")
BYTES = {
    "jls": bytes(imagecodecs.jpegls_encode(PIXELS)),
    "jpeg": bytes(imagecodecs.jpeg8_encode(PIXELS)),
    "lossless jpeg": bytes(imagecodecs.ljpeg_encode(PIXELS)),
    "j2k": bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", level=0, reversible=True)),
    "lossy j2k": bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", level=40, reversible=False)),
    "htj2k": htj2k(PIXELS, **PARTS),
    "pixels": np.arange(4096, dtype="u1").tobytes(),
}

KEPT = [
    ("image/jls", "image/jls", "jls", "image/jls"),
    ("image/jls", f"image/jls;transfer-syntax={UID}.4.81", "jls", f"image/jls;transfer-syntax={UID}.4.81"),
    ("image/jls", OCTETS, "jls", "image/jls"),
    ("image/jls;transfer-syntax=*", OCTETS, "jls", "image/jls"),
    ("image/x-jls", f"image/jls;transfer-syntax={UID}.4.80", "jls", "image/x-jls"),
    (
        "image/jpeg",
        f"image/jpeg;transfer-syntax={UID}.4.50",
        "jpeg",
        f"image/jpeg;transfer-syntax={UID}.4.50",
    ),
    ("image/jpeg", "image/jpeg", "lossless jpeg", "image/jpeg"),
    ("image/jp2", "image/jp2", "j2k", "image/jp2"),
    (OCTETS, OCTETS, "pixels", OCTETS),
    (OCTETS, f"{OCTETS};transfer-syntax={UID}.1", "pixels", f"{OCTETS};transfer-syntax={UID}.1"),
    ("image/dicom-rle", "image/dicom-rle", "pixels", "image/dicom-rle"),
    ("image/dicom-rle", f"{OCTETS};transfer-syntax={UID}.5", "pixels", "image/dicom-rle"),
]
NAMED = [
    (f"image/jls;transfer-syntax={UID}.4.81", "image/jls", "jls"),
    (f"{OCTETS};transfer-syntax={UID}.4.80", OCTETS, "jls"),
    (f"{OCTETS};transfer-syntax={UID}.4.80", f"image/jls;transfer-syntax={UID}.4.80", "jls"),
    (f"image/jpeg;transfer-syntax={UID}.4.51", "image/jpeg", "jpeg"),
    (f"image/jpeg;transfer-syntax={UID}.4.57", "image/jpeg", "lossless jpeg"),
    (f"image/jp2;transfer-syntax={UID}.4.91", "image/jp2", "lossy j2k"),
    (f"image/jp2;transfer-syntax={UID}.4.91", "image/jp2", "j2k"),
]
OTHER = [
    ("image/jls", "image/jls", "jpeg"),
    ("image/jls", "image/jls", "htj2k"),
    ("image/jls", "image/jls", "pixels"),
    ("image/jls", "image/jpeg", "jls"),
    ("image/jls", OCTETS, "pixels"),
    ("image/jls", f"{OCTETS};transfer-syntax={UID}.1", "jls"),
    (f"image/jls;transfer-syntax={UID}.4.80", f"image/jls;transfer-syntax={UID}.4.81", "jls"),
    (f"image/jpeg;transfer-syntax={UID}.4.50", "image/jpeg", "lossless jpeg"),
    (f"image/jpeg;transfer-syntax={UID}.4.70", "image/jpeg", "jpeg"),
    (f"image/jp2;transfer-syntax={UID}.4.90", "image/jp2", "lossy j2k"),
    ("image/jp2", "image/jp2", "htj2k"),
    ("image/jp2", "image/jphc", "htj2k"),
    (OCTETS, OCTETS, "htj2k"),
    (OCTETS, OCTETS, "jls"),
    (OCTETS, "image/jls", "jls"),
    (OCTETS, f"{OCTETS};transfer-syntax={UID}.4.80", "jls"),
    (f"{OCTETS};transfer-syntax={UID}.2", OCTETS, "pixels"),
    (f"{OCTETS};transfer-syntax={UID}.4.80", OCTETS, "pixels"),
    ("image/dicom-rle", OCTETS, "pixels"),
    ("image/jxl", OCTETS, "pixels"),
]


@pytest.mark.parametrize(("form", "label", "content", "kept"), KEPT)
def test_what_is_as_asked_is_kept_under_that_media_type(
    form: str, label: str, content: str, kept: str
) -> None:
    assert fitted(form, label, BYTES[content]) == kept


@pytest.mark.parametrize(("form", "label", "content"), NAMED)
def test_a_transfer_syntax_that_was_asked_for_is_told_even_if_the_origin_does_not(
    form: str, label: str, content: str
) -> None:
    assert fitted(form, label, BYTES[content]) == form


@pytest.mark.parametrize(("form", "label", "content"), OTHER)
def test_what_is_something_else_is_not_kept(form: str, label: str, content: str) -> None:
    assert fitted(form, label, BYTES[content]) is None


def test_each_form_is_asked_as_a_single_part_first_then_as_multipart() -> None:
    spelled = spellings_of(f"image/jls;transfer-syntax={UID}.4.80")
    assert [form.accept for form in spelled.forms] == [
        f"image/jls; transfer-syntax={UID}.4.80",
        f'multipart/related; type="image/jls"; transfer-syntax={UID}.4.80',
        f'multipart/related; type="image/jls; transfer-syntax={UID}.4.80"',
    ]
    assert [spelled.of_other_kind(form) for form in range(3)] == [1, 0, 0]
    assert spellings_of("") is HTJ2K_OR_STORED
    assert [HTJ2K_OR_STORED.of_other_kind(form) for form in (0, 1)] == [2, 0]
    assert len(FORMS) == 10
