"""Reads JSON Web Tokens of callers (RFC 7519). Imports PyJWT."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jwt

Pairs = tuple[tuple[str, str], ...]

_BEARER = re.compile(r"bearer +([\w-]+\.[\w-]+\.[\w-]*)", re.ASCII | re.IGNORECASE)
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""Errors that the library raises for tokens that somebody crafted."""


def token_of(credentials: Iterable[tuple[str, str]]) -> str | None:
    """The token in the only `Authorization`; None if there is none, or if it is no JWT.

    >>> token_of([("authorization", "Bearer a.b.c")]), token_of([("authorization", "Bearer a")])
    ('a.b.c', None)
    """
    said = [value for name, value in credentials if name == "authorization"]
    found = _BEARER.fullmatch(said[0]) if len(said) == 1 else None
    return None if found is None else found[1]


def claimed(token: str, names: Iterable[str]) -> Pairs:
    """The claims of a token with these names, without any proof; empty if it lacks one of the claims."""
    try:
        return named(jwt.decode(token, options={"verify_signature": False}), names)
    except _UNREADABLE:
        return ()


def named(claims: Mapping[str, Any], names: Iterable[str]) -> Pairs:
    """The claims with these names; empty if one of them is missing, or is neither text nor a number.

    >>> named({"iss": "https://login.example", "sub": "7", "exp": 1}, ["iss", "sub"])
    (('claim iss', '"https://login.example"'), ('claim sub', '"7"'))
    """
    pairs = tuple((f"claim {name}", claims.get(name)) for name in names)
    if not all(isinstance(value, str | int) for _, value in pairs):
        return ()
    return tuple((name, json.dumps(value)) for name, value in pairs)
