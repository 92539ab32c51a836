"""The form of a server's URL (RFC 9110 4.2), as configurations and command lines have it."""

import re
from typing import Final
from urllib.parse import urlsplit

_PORT = r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
HOST_AND_PORT: Final = rf"(\[[0-9A-Fa-f:.]+\]|[^/\s?#@,:\[\]]+)(:({_PORT}))?"
"""A host, and a port from 1 to 65535 if it has one, as a regular expression (ECMA 262 and Python)."""
_SERVER = re.compile(rf"https?://([^/\s?#@]+@)?{HOST_AND_PORT}(/[^\s?#]*)?", re.ASCII)


def has_host(url: str) -> bool:
    """True if what stands in brackets, if anything does, is an IPv6 address.

    >>> has_host("http://[::1]:80/x"), has_host("http://[:::]/x")
    (True, False)
    """
    try:
        return bool(urlsplit(url).netloc)
    except ValueError:
        return False


def is_of_server(url: str) -> bool:
    """True for the base URL of a server, with a login if it has one.

    >>> is_of_server("http://pacs.example:8042/dicom-web"), is_of_server("http://pacs.example:99999/")
    (True, False)
    """
    return _SERVER.fullmatch(url) is not None and has_host(url)
