"""OHIF's own microscopy mode shows a slide through the proxy as it does directly."""

from typing import Any

import pytest

from tests.browser.ohif import Ohif, ohif
from tests.browser.opening import proxy_of, root_of
from tests.browser.serving import listening
from tests.browser.slides import DRAWN, FORMS, STUDY, archive_of, slide

pytestmark = pytest.mark.anyio

PAGE = f"/microscopy?StudyInstanceUIDs={STUDY}"
VIEWER = """async (element) => {
    const name = Object.keys(element).find((each) => each.startsWith('__reactFiber'));
    for (;;) {
        for (let fiber = element[name]; fiber; fiber = fiber.return) {
            for (const { memoizedState } of [fiber, fiber.alternate ?? fiber]) {
                for (let state = memoizedState; state?.next !== undefined; state = state.next) {
                    if (state.memoizedState?.addROI) return state.memoizedState;
                }
            }
        }
        await new Promise(requestAnimationFrame);
    }
}"""
"""JavaScript: the dicom-microscopy-viewer that is the state of OHIF's component, as soon as it is."""


async def shown(viewer: Ohif, root: str) -> bytes:
    """The picture of the slide once each tile is drawn."""
    drawn = f"async (element) => await ({DRAWN})(await ({VIEWER})(element))"
    return await viewer.picture(root, PAGE, ".DicomMicroscopyViewer", drawn)


@pytest.mark.parametrize("name", FORMS)
async def test_a_slide_is_the_same_directly_cold_and_hot(browser: Any, name: str) -> None:
    form = FORMS[name]
    archive = archive_of(slide(form), form)
    async with ohif(browser) as viewer, listening(archive) as archive.url:
        direct = await shown(viewer, archive.url)
        async with proxy_of(viewer, archive) as home:
            archive.taken()
            cold = await shown(viewer, root_of(home))
            asked = archive.taken()
            hot = await shown(viewer, root_of(home))
            again = archive.taken()
        assert viewer.strangers == []
    assert any(call.kind == "frames" for call in asked)
    assert (cold, hot, again) == (direct, direct, [])
