"""What the Cornerstone3D viewports of a page show, be it OHIF or the example of a page of your own."""

from dataclasses import dataclass
from typing import Any

LOADED = """([viewports, isAll]) => {
    const { cornerstone } = window;
    const shown = (cornerstone?.getRenderingEngines() ?? []).flatMap((engine) => engine.getViewports());
    const whole = (id) => cornerstone.cache.getImage(id)?.imageQualityStatus === 8;
    const wanted = (viewport) => isAll ? viewport.getImageIds() : [viewport.getCurrentImageId()];
    const isWhole = (viewport) => viewport.getImageIds().length > 0 && wanted(viewport).every(whole);
    return shown.length === viewports && shown.every(isWhole);
}"""
"""JavaScript: true once this many viewports hold each of their images, or the shown one, whole."""

DRAWN = """async () => {
    const { cornerstone } = window;
    const seen = [];
    for (const viewport of cornerstone.getRenderingEngines().flatMap((engine) => engine.getViewports())) {
        const drawn = new Promise((resolve) => viewport.element.addEventListener(
            cornerstone.EVENTS.IMAGE_RENDERED, resolve, { once: true }));
        viewport.render();
        await drawn;
        const canvas = viewport.getCanvas();
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let lit = 0;
        for (let i = 0; i < data.length; i += 4) lit += data[i] > 0;
        const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
        seen.push({
            id: viewport.id, type: viewport.type, width: canvas.width, height: canvas.height,
            lit: lit / (data.length / 4), digest: Array.from(hash, (byte) => byte.toString(16)).join(' '),
        });
    }
    return seen;
}"""
"""JavaScript: draws each viewport once more, and returns what its canvas holds."""


@dataclass(frozen=True)
class Canvas:
    """One viewport's canvas after all its images had come."""

    id: str
    type: str
    """`stack` or `orthographic`."""
    width: int
    height: int
    lit: float
    """Share of pixels that are not black."""
    digest: str
    """Digest of the pixels."""


async def canvases(page: Any, viewports: int = 1, *, is_all: bool = True) -> list[Canvas]:
    """Waits until the viewports hold all their images, or the one they show, and returns what they show."""
    await page.wait_for_function(LOADED, arg=[viewports, is_all])
    return [Canvas(**seen) for seen in await page.evaluate(DRAWN)]
