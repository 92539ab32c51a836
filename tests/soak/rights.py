"""The tokens of the soak, and the studies that each may read. Both sides compute them from the time."""

from math import inf

KEEPERS = 5
"""People who have a token. Token 0 is good for ever; the others are renewed, and the old ones revoked."""
LIFE = 45.0
"""Seconds that a token is good."""
UNKNOWN = "Bearer soak-nobody"


def token(keeper: int, generation: int) -> str:
    return f"Bearer soak-{keeper}-{generation}"


def generation(keeper: int, now: float) -> int:
    """The generation of a keeper's token that is good now."""
    return int((now + _phase(keeper)) / LIFE) if keeper else 0


def may_read(authorization: str, study: int, since: float, until: float) -> bool:
    """True if the origin lets this token read the study at some time between the two."""
    start, stop = _good(authorization, study)
    return start <= until and since < stop


def is_good(authorization: str, study: int, since: float, until: float) -> bool:
    """True if it does so all the time between the two."""
    start, stop = _good(authorization, study)
    return start <= since and until < stop


def _good(authorization: str, study: int) -> tuple[float, float]:
    """The time, in seconds of the monotonic clock, in which the origin lets the token read the study."""
    _, *numbers = authorization.split("-")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return inf, -inf
    keeper, number = map(int, numbers)
    if keeper == 0:
        return -inf, inf
    if (keeper + study) % KEEPERS == 0:
        return inf, -inf
    start = number * LIFE - _phase(keeper)
    return start, start + LIFE


def _phase(keeper: int) -> float:
    return keeper * LIFE / KEEPERS
