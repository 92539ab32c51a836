"""Looks through the memory of this process for a credential."""

import gc
import secrets
from dataclasses import dataclass, field
from types import FrameType


@dataclass(frozen=True)
class Secret:
    """A random credential, of which the test itself keeps only the reverse."""

    reverse: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def bearer(self) -> dict[str, str]:
        """The header that shows it."""
        return {"authorization": f"Bearer {self.reverse[::-1]}"}

    def holders(self) -> list[str]:
        """The kinds of objects in this process that lead to it, each with what leads to them."""
        gc.collect()
        word, every = self.reverse[::-1], gc.get_objects()
        found = [each for each in every if _holds(each, word)]
        del every
        return [_chain(each) for each in found]


def _holds(holder: object, word: str) -> bool:
    """True if an object has the word in a text, or in a tuple or dict of texts, which the collector skips."""
    for held in gc.get_referents(holder):
        if isinstance(held, str):
            found = held is not word and word in held
        elif isinstance(held, bytes | bytearray):
            found = word.encode() in held
        else:
            found = isinstance(held, tuple | dict) and not gc.is_tracked(held) and _holds(held, word)
        if found:
            return True
    return False


def _chain(holder: object, length: int = 6) -> str:
    """Who refers to an object, and who to that."""
    told, seen = [type(holder).__qualname__], {id(holder)}
    for _ in range(length):
        owners = [
            each
            for each in gc.get_referrers(holder)
            if id(each) not in seen and not _is_here(each) and type(each) not in (list, type(iter([])))
        ]
        if not owners:
            break
        holder = owners[0]
        seen.add(id(holder))
        told.append(type(holder).__qualname__)
    return " <- ".join(told)


def _is_here(each: object) -> bool:
    return isinstance(each, FrameType) and each.f_code.co_filename == __file__
