"""Plain English, as far as it can be counted: few conditional "where", and the subject first.

`where` is for places. A rate below 30 in 10,000 words leaves room for those; conditions are `if` and `when`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import pytest

from tests.pages.parts import PARTS, ROOT, pages, part, unfenced, without_parts

MOST_WHERE = 30
"""In 10,000 words."""
INVERTED = re.compile(r"(?:Of|What|Who|Whoever|Whether)\b(?!.*\?$)", re.DOTALL)
"""A sentence that begins like this has its subject late; a question may."""
MORE_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")
MARKUP = re.compile(r"<!--.*?-->|!?\[([^\]]*)\]\([^)]*\)|`[^`\n]*`|\*+", re.DOTALL)


def plain(text: str) -> str:
    """Markdown without its blocks of code, marks and addresses.

    >>> plain("See **[the page](a.md)**, or `run`.")
    'See the page, or x.'
    """
    prose = re.sub(r"^(?:    )+(?!- )\S.*$", "", unfenced(text), flags=re.MULTILINE)
    return MARKUP.sub(lambda found: found[1] or ("x" if found[0].startswith("`") else ""), prose)


def sentences(text: str) -> Iterator[str]:
    """The sentences of each paragraph, list item and table cell.

    >>> list(sentences("# A title\\n\\nOne. Two\\nlines.\\n- item\\n| a | b |"))
    ['A title', 'One.', 'Two lines.', 'item', 'a', 'b']
    """
    apart = re.sub(r"^\s*(?:#+|[-*]|\d+\.|>|!!! \w+)\s+", "\n\n", text, flags=re.MULTILINE)
    for block in re.split(r"\n\s*\n|\|", apart):
        for sentence in re.split(r"(?<=[.?!:])\s+", " ".join(block.split())):
            if sentence:
                yield sentence


def judged(texts: list[str]) -> tuple[float, list[str]]:
    """The number of `where` in 10,000 words, and the sentences that begin with a late subject."""
    found = [sentence for text in texts for sentence in sentences(text)]
    words = [word for sentence in found for word in re.findall(r"[A-Za-z][A-Za-z'-]*", sentence)]
    where = sum(word.lower() == "where" for word in words)
    inverted = [sentence for sentence in found if INVERTED.match(sentence)]
    return where / max(len(words), 1) * 10_000, inverted


def texts_of_code() -> Iterator[str]:
    """Docstrings, also those of attributes, and comments."""
    for path in sorted((ROOT / "proxy").rglob("*.py")):
        source = path.read_text("utf-8")
        yield from docstrings(source)
        yield from comments(source)


def docstrings(source: str) -> Iterator[str]:
    """Docstrings without their examples."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield plain(
                    re.sub(r"^\s*>>>.*?(?=\n\s*\n|\Z)", "", cleandoc(text), flags=re.MULTILINE | re.DOTALL)
                )


def comments(source: str) -> Iterator[str]:
    """Comments; one that goes on in the next line is one text."""
    last, lines = -1, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or token.string.startswith(("# noqa", "# type:")):
            continue
        if token.start[0] != last + 1:
            yield plain("\n".join(lines))
            lines = []
        lines.append(token.string.lstrip("# "))
        last = token.start[0]
    yield plain("\n".join(lines))


def pages_of_people() -> list[Path]:
    return [*pages(), *(ROOT / name for name in MORE_PAGES if (ROOT / name).exists())]


def test_pages_are_in_plain_english() -> None:
    texts = [plain(without_parts(page.read_text("utf-8"))) for page in pages_of_people()]
    rate, inverted = judged(texts)
    assert inverted == []
    assert rate < MOST_WHERE


def test_generated_tables_are_in_plain_english() -> None:
    """Descriptions of settings and profile keys, and the help of metrics."""
    rate, inverted = judged([plain(part(name)) for name in PARTS])
    assert inverted == []
    assert rate < MOST_WHERE


def test_docstrings_and_comments_are_in_plain_english() -> None:
    rate, inverted = judged(list(texts_of_code()))
    assert inverted == []
    assert rate < MOST_WHERE


@pytest.mark.parametrize("word", ["Of", "What", "Who", "Whoever", "Whether"])
def test_a_late_subject_is_found(word: str) -> None:
    assert judged([f"One is fine. {word} comes late, it is found."])[1] == [
        f"{word} comes late, it is found."
    ]
    assert judged([f"# {word} is it?"])[1] == []


def test_where_is_counted() -> None:
    assert judged([plain("Where it is, it is. `where` is code.")])[0] == pytest.approx(1e4 / 8)
