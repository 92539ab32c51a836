"""`python -m tests.pages` writes the generated parts of README and docs."""

from tests.pages.parts import PARTS, write

for name in PARTS:
    write(name)
