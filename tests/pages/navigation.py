"""The site's hook: every page in `docs/decisions` is in the navigation, in the order of its number."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:  # mkdocs is installed only for `make docs`
    """Adds the decisions as the last section."""
    docs = Path(config.docs_dir)
    names = [str(page.relative_to(docs)) for page in sorted(docs.glob("decisions/*.md"))]
    if names:
        config.nav.append({"Decisions": names})
    return config
