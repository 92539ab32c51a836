"""Which part of which page is made by which function. A part stands between two comments that name it."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.pages import measured, program, sized

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PARTS: dict[str, tuple[Path, Callable[[], str]]] = {
    "settings": (DOCS / "configuration.md", program.settings),
    "vocabulary": (DOCS / "profiles.md", program.vocabulary),
    "rules": (DOCS / "profiles.md", program.rules),
    "alternates": (DOCS / "alternates.md", program.alternates),
    "metrics": (DOCS / "operate" / "metrics.md", program.metrics),
    "summary": (README, measured.summary),
    "beside": (DOCS / "performance.md", measured.beside),
    "demo": (DOCS / "performance.md", measured.demo),
    "browser": (DOCS / "performance.md", measured.browser),
    "opened": (DOCS / "viewers" / "ohif.md", measured.opened),
    "http2": (DOCS / "performance.md", measured.http2),
    "fast": (DOCS / "performance.md", measured.fast),
    "attacks": (DOCS / "security.md", measured.attacks),
    "memory": (DOCS / "deploy" / "sizing.md", measured.memory),
    "purchases": (DOCS / "deploy" / "sizing.md", sized.purchases),
    "ladders": (DOCS / "deploy" / "sizing.md", sized.ladders),
    "fleets": (DOCS / "deploy" / "sizing.md", sized.fleets),
    "on_paper": (DOCS / "deploy" / "sizing.md", sized.on_paper),
}


def pages() -> list[Path]:
    """All pages: README, and what lies below `docs`."""
    return [README, *sorted(DOCS.rglob("*.md"))]


def part(name: str) -> str:
    """A generated part, as its page has it now."""
    found = _between(name).search(PARTS[name][0].read_text("utf-8"))
    assert found is not None, f"{PARTS[name][0].name} has no part {name}"
    return found[2]


def write(name: str) -> None:
    """Puts a generated part into its page."""
    page, make = PARTS[name]
    text = page.read_text("utf-8")
    page.write_text(_between(name).sub(lambda found: found[1] + make() + found[3], text), "utf-8")


def without_parts(text: str) -> str:
    """A page's text that a person wrote."""
    return re.sub(r"<!-- (\S+): begin -->.*?<!-- \1: end -->", "", text, flags=re.DOTALL)


def unfenced(text: str) -> str:
    """A page's text without fenced blocks."""
    return re.sub(r"^( *)```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def yaml_examples() -> list[tuple[str, str]]:
    """The YAML blocks of all pages, each with its page's name."""
    found = ((page, page.read_text("utf-8")) for page in pages())
    return [
        (f"{page.relative_to(ROOT)} {number}", block)
        for page, text in found
        for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    ]


def _between(name: str) -> re.Pattern[str]:
    return re.compile(f"(<!-- {name}: begin -->\n)(.*?)(<!-- {name}: end -->)", re.DOTALL)
