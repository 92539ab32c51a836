"""Requests for rendered pictures, and the display attributes in metadata."""

from typing import Any

import pytest

from proxy.errors import BadResource, NotAcceptable
from proxy.wire.dicomjson import Instance
from proxy.wire.display import Display, DisplayWindow, Palette, read_displays
from proxy.wire.picture import ALL, Picture, read_picture, wanted_picture
from proxy.wire.resource import RenderedResource, parse_rendered_path

SERIES = "studies/1.2/series/1.3"


def read(query: str, accept: str | None = None, *, is_thumbnail: bool = False) -> Picture:
    return read_picture(query, accept, is_thumbnail=is_thumbnail)[0]


def test_a_picture_is_as_it_is_asked_for() -> None:
    assert read("") == Picture("image/jpeg", 90)
    assert read("", is_thumbnail=True) == Picture("image/jpeg", 90, (128, 128))
    assert read("viewport=64,32", is_thumbnail=True).viewport == (64, 32)
    assert read("quality=7").quality == 7
    assert read("quality=7", "image/png") == read("", "image/png")
    assert read("window=-600%2C1500%2Csigmoid").window == DisplayWindow(-600, 1500, "sigmoid")
    assert read("viewport=9,9,1.5,,-4,5").region == (1.5, None, -4, 5)
    assert read("viewport=9,9,,,,").region == ALL


def test_what_is_not_about_the_picture_is_the_origins_business() -> None:
    query = "quality=50&tenant=a&annotation=patient&iccprofile=yes&viewport=5,5"
    assert read_picture(query, None, is_thumbnail=False)[1] == "tenant=a"


@pytest.mark.parametrize(
    "query",
    [
        *("quality=0", "quality=101", "quality=", "quality=5.5", "quality=+5", "quality=٣"),
        *("viewport=", "viewport=5", "viewport=5,", "viewport=0,5", "viewport=5,-5", "viewport=5.5,5"),
        *("viewport=5,5,1", "viewport=5,5,1,1,1", "viewport=5,5,1,1,1,1,1", "viewport=100000,5"),
        *("viewport=5,5,-1,0,2,2", "viewport=5,5,0,0,0,2", "viewport=5,5,a,0,2,2", "viewport=5,5,nan,,,"),
        *("window=", "window=40,400", "window=40,400,cubic", "window=40,400,linear,1", "window=,400,linear"),
        *("window=40,0.5,linear", "window=40,0,sigmoid", "window=40,-1,linear-exact"),
        *("window=nan,400,linear", "window=1e3,400,linear", "window=inf,1,linear", "window=4_0,400,linear"),
    ],
)
def test_what_is_malformed_is_refused_with_what_is_right(query: str) -> None:
    with pytest.raises(BadResource, match=f"^{query.partition('=')[0]}: "):
        read(query)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "image/jpeg"),
        ("", "image/jpeg"),
        ("undefined", "image/jpeg"),
        ("*/*", "image/jpeg"),
        ("image/png", "image/png"),
        ("image/png, image/jpeg", "image/jpeg"),
        ("image/png, image/jpeg;q=0.9", "image/png"),
        ("image/jpeg;q=0, */*", "image/png"),
        ("image/jpeg;q=0.2, image/*;q=0.8", "image/png"),
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/jpeg"),
        ("image/gif, IMAGE/PNG;q=0.1", "image/png"),
    ],
)
def test_the_media_type_is_what_the_viewer_likes_best(accept: str | None, media: str) -> None:
    assert wanted_picture(accept) == media


@pytest.mark.parametrize(
    "accept",
    ["image/gif", "video/mp4", "image/png;q=0, image/jpeg;q=0", "multipart/related; type=image/jpeg"],
)
def test_who_takes_neither_is_told(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="image/jpeg and image/png"):
        wanted_picture(accept)


def test_a_picture_fits_into_its_viewport_and_is_never_enlarged() -> None:
    def size(query: str, columns: int, rows: int) -> tuple[tuple[int, int], tuple[int, int]]:
        fit = read(query).fit(columns, rows)
        return fit.size, fit.covers

    assert size("", 512, 300) == ((512, 300), (512, 300))
    assert size("viewport=128,128", 512, 300) == ((128, 75), (128, 75))
    assert size("viewport=128,50", 512, 300) == ((85, 50), (85, 50))
    assert size("viewport=9999,9999", 512, 300) == ((512, 300), (512, 300))
    assert size("viewport=128,128,100,100,256,-128", 512, 300) == ((128, 64), (256, 150))
    assert size("viewport=5,5", 2000, 1) == ((5, 1), (5, 1))
    assert read("viewport=5,5,500,290,-100,100").fit(512, 300).region == (500, 290, -12, 10)
    with pytest.raises(BadResource, match="outside the frame, whose side has 512 pixels"):
        read("viewport=5,5,512,0,1,1").fit(512, 300)


def test_pictures_have_paths_of_their_own() -> None:
    instance = f"{SERIES}/instances/1.4"
    assert parse_rendered_path(f"{SERIES}/rendered") == RenderedResource("1.2", "1.3", "", 0, False)
    assert parse_rendered_path(f"{instance}/thumbnail") == RenderedResource("1.2", "1.3", "1.4", 0, True)
    assert parse_rendered_path(f"{instance}/frames/7/rendered") == RenderedResource(
        "1.2", "1.3", "1.4", 7, False
    )
    for other in (
        "studies/1.2/rendered",
        f"{instance}/frames/1,2/rendered",
        f"{instance}/frames/1",
        instance,
    ):
        assert parse_rendered_path(other) is None


@pytest.mark.parametrize("path", ["series/x~y", "series/1.3/instances/", "series/1.3/instances/1.4/frames/0"])
def test_a_path_that_is_badly_spelt_is_refused(path: str) -> None:
    with pytest.raises(BadResource):
        parse_rendered_path(f"studies/1.2/{path}/rendered")


def said(**values: Any) -> Instance:
    """Attributes by tag, with one value or several."""
    return {
        tag[1:]: {"vr": "??", "Value": value if isinstance(value, list) else [value]}
        for tag, value in values.items()
    }


def test_the_first_window_and_the_rescaling_are_read() -> None:
    plain = said(t00281050=[40, 300], t00281051=["400", 2000], t00281052=-1024, t00281053="2.5")
    assert read_displays(plain) == (Display(2.5, -1024, DisplayWindow(40, 400)),)
    sigmoid = said(t00281050=40, t00281051=0.5, t00281056="SIGMOID")
    assert read_displays(sigmoid)[0].window == DisplayWindow(40, 0.5, "sigmoid")


def test_frames_of_enhanced_objects_have_their_own() -> None:
    window = [said(t00289132=[said(t00281050=center, t00281051=100)]) for center in (1, 2)]
    rescale = said(t00289145=[said(t00281052=-5, t00281053=3)])
    found = read_displays(said(t52009229=[rescale], t52009230=window))
    assert found == (Display(3, -5, DisplayWindow(1, 100)), Display(3, -5, DisplayWindow(2, 100)))


def test_a_palette_is_read_where_its_tables_are_there() -> None:
    tables = {tag: {"vr": "OW", "InlineBinary": "AAAA"} for tag in ("00281201", "00281202", "00281203")}
    whole = said(t00281101=[0, 0, 16]) | tables
    assert read_displays(whole)[0].palette == Palette(65536, 0, 16, ("AAAA",) * 3)
    elsewhere = whole | {"00281202": {"vr": "OW", "BulkDataURI": "https://example.org/b/1"}}
    assert "metadata does not contain" in read_displays(elsewhere)[0].no_palette
    assert "segmented" in read_displays(whole | said(t00281221="x"))[0].no_palette
    assert read_displays(said(t00281101=["x", None]))[0].palette is None


@pytest.mark.parametrize(
    "instance",
    [
        {},
        said(t00281050="x", t00281051=400),
        said(t00281050=40),
        said(t00281050=40, t00281051=0),
        said(t00281050="nan", t00281051="inf"),
        said(t00281050={"a": 1}, t00281051=[None]),
        said(t00281053=0, t00281052="much"),
        said(t00281053="1e999"),
        said(t52009230="x", t52009229=[None, 4]),
        {"00281050": 4, "52009230": {"Value": {}}, "00281101": None},
    ],
)
def test_what_is_not_well_formed_is_as_if_it_were_not_there(instance: Instance) -> None:
    assert [(each.slope, each.intercept, each.window) for each in read_displays(instance)] == [(1, 0, None)]
