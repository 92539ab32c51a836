"""The picture of the packages is drawn from the imports that the test of the bands holds."""

from tests.pages.picture import SVG, drawn


def test_the_picture_shows_the_packages_as_they_are() -> None:
    """If this fails, run `python -m tests.pages.picture`."""
    assert SVG.read_text("utf-8") == drawn()
