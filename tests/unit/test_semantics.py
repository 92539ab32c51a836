"""Each statement on the page about semantics names a test file that exists."""

import re

import pytest

from tests.pages.parts import DOCS, ROOT

PAGE = (DOCS / "semantics.md").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[a-z_/0-9]+\.py)`", PAGE))))
def test_a_test_that_is_named_exists(name: str) -> None:
    assert (ROOT / name).is_file()
