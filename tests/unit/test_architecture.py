"""The picture of the packages is the one that the import graph makes."""

import doctest

from tests.pages import outside
from tests.pages.architecture import PICTURE, ROWS, WAYS, svg
from tests.unit.test_bands import BANDS, MAY_IMPORT


def test_the_committed_picture_is_up_to_date() -> None:
    assert PICTURE.read_text("utf-8") == svg(), "python -m tests.pages.architecture writes it"


def test_each_package_is_drawn_once_and_each_row_is_of_one_band() -> None:
    assert sorted(package for row in ROWS for package in row) == sorted(MAY_IMPORT)
    assert all(any(band.issuperset(row) for band in BANDS.values()) for row in ROWS)


def test_the_ways_are_imports() -> None:
    edges = [edge for _, edges in WAYS.values() for edge in edges]
    assert [(package, other) for package, other in edges if other not in MAY_IMPORT[package]] == []


def test_links_into_the_code_are_text_on_the_site() -> None:
    assert doctest.testmod(outside).failed == 0
