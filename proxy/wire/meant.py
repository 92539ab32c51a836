"""Finds the word that somebody probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def meant(word: str, known: Iterable[str], then: str = "") -> str:
    """Ends a sentence about an unknown word: names the nearest known one, if one is near, and says `then`.

    >>> meant("cahce", ["cache", "cors"], "the keys are cache, cors")
    '; did you mean cache? The keys are cache, cors'
    >>> meant("colour", ["cache", "cors"], "the keys are cache, cors")
    '; the keys are cache, cors'
    """
    by_lower = {each.lower(): each for each in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.7)
    if near:
        return f"; did you mean {by_lower[near[0]]}? {then[:1].upper()}{then[1:]}".rstrip()
    return f"; {then}" if then else ""
