"""The site's hook: a link out of `docs`, into the code, is a link on GitHub and only its text on the site."""

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)\s#]+)(?:#[^)\s]*)?\)")


def without_outside_links(markdown: str, page: Path, docs: Path) -> str:
    """A page's text, with each link to a file outside `docs` replaced by its text.

    >>> without_outside_links("[`fill`](../../proxy/fill.py), [a](../a.md)", Path("d/x/p.md"), Path("d"))
    '`fill`, [a](../a.md)'
    """
    inside = docs.resolve()

    def text_of(link: re.Match[str]) -> str:
        target = (page.parent / link[2]).resolve()
        return link[0] if target.is_relative_to(inside) else link[1]

    return LINK.sub(text_of, markdown)


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:  # mkdocs' own signature
    """Called for each page."""
    del files
    return without_outside_links(markdown, Path(page.file.abs_src_path), Path(config.docs_dir))
