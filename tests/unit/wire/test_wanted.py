"""The forms of a frame in an Accept: which one goes first, and that there are few of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import NotAcceptable
from proxy.wire.media import Envelope, wanted_envelope
from proxy.wire.wanted import MOST_FORMS, OCTETS, SYNTAXES, first_form, wanted_forms

UID = "1.2.840.10008.1.2"
SINGLE, MULTIPART = Envelope.SINGLE, Envelope.MULTIPART

FORMS = {
    "image/jls": [("image/jls", SINGLE)],
    "IMAGE/JLS": [("image/jls", SINGLE)],
    f"image/jls; transfer-syntax={UID}.4.81": [(f"image/jls;transfer-syntax={UID}.4.81", SINGLE)],
    "image/jls; transfer-syntax=*": [("image/jls;transfer-syntax=*", SINGLE)],
    f'multipart/related; type="image/jls;transfer-syntax={UID}.4.80"': [
        (f"image/jls;transfer-syntax={UID}.4.80", MULTIPART)
    ],
    f"multipart/related; type=image/jpeg; transfer-syntax={UID}.4.50": [
        (f"image/jpeg;transfer-syntax={UID}.4.50", MULTIPART)
    ],
    "application/octet-stream": [(OCTETS, SINGLE)],
    f"application/octet-stream; transfer-syntax={UID}.1": [(OCTETS, SINGLE)],
    f"application/octet-stream; transfer-syntax={UID}.4.80": [
        (f"{OCTETS};transfer-syntax={UID}.4.80", SINGLE)
    ],
    "multipart/related; type=application/octet-stream": [(OCTETS, MULTIPART)],
    # By weight; of the same weight HTJ2K goes first, then the one that is named first.
    "image/jls, image/jphc": [("", SINGLE), ("image/jls", SINGLE)],
    "image/jls, image/jphc;q=0.9": [("image/jls", SINGLE), ("", SINGLE)],
    "image/jls;q=0.2, image/jpeg;q=0.3": [("image/jpeg", SINGLE), ("image/jls", SINGLE)],
    "image/jpeg, image/jls": [("image/jpeg", SINGLE), ("image/jls", SINGLE)],
    "image/jls;q=0, image/jpeg": [("image/jpeg", SINGLE)],
    "image/jls, multipart/related; type=image/jls;q=0.5": [("image/jls", SINGLE)],
    # A wildcard leaves the choice to the proxy, which is HTJ2K.
    "*/*": [("", MULTIPART)],
    "image/*": [("", SINGLE)],
    "image/jls, */*;q=0.1": [("image/jls", SINGLE), ("", MULTIPART)],
    f"{OCTETS}; transfer-syntax=*": [("", SINGLE)],
    "": [("", MULTIPART)],
    "undefined": [("", MULTIPART)],
    # Not known to the proxy.
    "image/png": [],
    "image/jls;q=0": [],
    f"image/jls; transfer-syntax={UID}.4.50": [],
    "image/jls; transfer-syntax=1.2.3": [],
    f"image/jphc; transfer-syntax={UID}.1": [],
    "application/dicom": [],
    "multipart/related; type=application/dicom": [],
    "multipart/mixed; type=image/jls": [],
}


@pytest.mark.parametrize("accept", FORMS)
def test_a_plan_fetches_the_form_that_a_viewer_prefers(accept: str) -> None:
    if FORMS[accept]:
        assert first_form(accept) == FORMS[accept][0][0]
    else:
        with pytest.raises(NotAcceptable):
            first_form(accept)


@pytest.mark.parametrize("accept", FORMS)
def test_the_forms_of_an_accept_in_order(accept: str) -> None:
    assert [(wanted.form, wanted.envelope) for wanted in wanted_forms(accept)] == FORMS[accept]


def test_without_an_accept_it_is_htj2k() -> None:
    assert [wanted.form for wanted in wanted_forms(None)] == [""]


def test_no_accept_names_more_forms_than_are_tried() -> None:
    names = [f"{name};transfer-syntax={each}" for name, known in SYNTAXES.items() for each in sorted(known)]
    assert len(wanted_forms(",".join(names))) == MOST_FORMS


@given(st.text(max_size=60) | st.text('aijlsmge/=;,"\\* \t.0q', max_size=60))
def test_who_gets_htj2k_alone_gets_it_here_too(accept: str) -> None:
    forms = {wanted.form: wanted.envelope for wanted in wanted_forms(accept)}
    assert forms.get("") is wanted_envelope(accept) or len(forms) == MOST_FORMS
