"""The ways to spell a request for a frame, for HTJ2K and for each other form of a frame; pure."""

from dataclasses import dataclass
from functools import lru_cache

from proxy.wire.wanted import syntax_of


@dataclass(frozen=True, slots=True)
class Form:
    """One way to request a frame."""

    accept: str
    """Value of the Accept header."""
    query: str = ""
    """Query argument of the URL (PS3.18 8.3.3.1); empty if there is none."""

    def __str__(self) -> str:
        """The form as logs and reports show it."""
        return f"?{self.query}" if self.query else self.accept

    @property
    def is_multipart(self) -> bool:
        """True if the form asks for an envelope around the codestream."""
        return "multipart" in self.accept


RPCL = "1.2.840.10008.1.2.4.202"

FORMS = (
    Form("image/jphc"),
    Form('multipart/related; type="image/jphc"; transfer-syntax=*'),
    Form('multipart/related; type="application/octet-stream"; transfer-syntax=*'),
    Form("application/octet-stream; transfer-syntax=*"),
    Form(f'multipart/related; type="application/octet-stream"; transfer-syntax={RPCL}'),
    Form("multipart/related; type=image/jphc; transfer-syntax=*"),
    Form(f'multipart/related; type="image/jphc; transfer-syntax={RPCL}"'),
    Form("*/*", "accept=image/jphc"),
    Form('multipart/related; type="application/octet-stream"'),
    Form("multipart/related"),
)
"""All ways to request HTJ2K or the stored frame, in the order in which they are tried."""
FREE = (7, 8, 9)
"""Forms that leave the choice to the origin. The first one does so only if the origin ignores arguments."""


@dataclass(frozen=True, slots=True)
class Spellings:
    """The ways to request one form of a frame."""

    forms: tuple[Form, ...]
    """All of them, in the order in which they are tried."""
    single: int
    """The one to try instead of a multipart form."""
    multipart: int
    """The one to try instead of a single part form."""
    free: tuple[int, ...] = ()
    """Those that leave the choice of the transfer syntax to the origin."""

    def of_other_kind(self, form: int) -> int:
        """The form of the other kind to try instead."""
        return self.single if self.forms[form].is_multipart else self.multipart


HTJ2K_OR_STORED = Spellings(FORMS, 0, 2, FREE)


@lru_cache(maxsize=64)
def spellings_of(form: str) -> Spellings:
    """The ways to request a form of a frame (`proxy.wire.wanted`).

    >>> for spelled in spellings_of("image/jls").forms:
    ...     print(spelled)
    image/jls
    multipart/related; type="image/jls"
    """
    if not form:
        return HTJ2K_OR_STORED
    media, _, parameter = form.partition(";")
    behind = f"; {parameter}" if parameter else ""
    ways = [Form(f"{media}{behind}"), Form(f'multipart/related; type="{media}"{behind}')]
    if syntax_of(form):
        ways.append(Form(f'multipart/related; type="{media}{behind}"'))
    return Spellings(tuple(ways), 0, 1)
