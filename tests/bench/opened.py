"""Requests that one opening of a study causes in OHIF and at the archive: directly, cold and hot."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.bench.browser_place import browser
from tests.bench.results import save
from tests.bench.shared import print_row
from tests.browser import pictures
from tests.browser.archive import archive_of, write_study
from tests.browser.ohif import ohif
from tests.browser.opening import PAGES, each_way
from tests.browser.serving import listening

WIDTHS = (22, 12, 8, 10, 10, 8)


def run() -> None:
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        write_study(tree, pictures.volume(), pictures.radiograph())
        try:
            asyncio.run(_run(tree))
        except pytest.skip.Exception as missing:
            print(missing)


async def _run(tree: Path) -> None:
    archive, rows = archive_of(tree), []
    print_row(("page", "way", "viewer", "searches", "metadata", "frames"), WIDTHS)
    async with browser() as chromium, ohif(chromium.chromium) as viewer, listening(archive) as archive.url:
        for name, page in PAGES.items():
            for way in await each_way(viewer, archive, page):
                rows.append(row := way.row(name))
                print_row([str(cell) for cell in row.values()], WIDTHS)
    save("opened", "python -m tests.bench opened", rows)
