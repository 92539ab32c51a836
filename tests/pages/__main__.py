"""`python -m tests.pages` writes the generated parts of README and docs, and the schemas in `examples`."""

from tests.pages.parts import PARTS, write
from tests.pages.schemas import FILES, text_of

for name in PARTS:
    write(name)
for kind, path in FILES.items():
    path.write_text(text_of(kind), "utf-8")
