"""The URLs in a configuration. Each has a sentence that says how it is written. Imports pydantic."""

from typing import Annotated

from proxy.plan.kinds import Spelled
from proxy.wire.url import HOST_AND_PORT, has_host

Origin = Annotated[
    str,
    Spelled(
        rf"https?://{HOST_AND_PORT}(/[^\s?#]*)?",
        "must be http:// or https://, a host and a path, such as http://pacs.example:8042/dicom-web, "
        "without a user, ? or #; a port is from 1 to 65535",
        has_host,
    ),
]
"""Base URL of a server."""
Url = Annotated[
    str,
    Spelled(
        rf"https?://{HOST_AND_PORT}(/[^\s#]*)?",
        "must be http:// or https:// and a host, such as https://login.example/keys, without a user or #; "
        "a port is from 1 to 65535",
        has_host,
    ),
]
"""URL of a server, with a query if it needs one."""
Endpoint = Annotated[
    str,
    Spelled(
        rf"https?://{HOST_AND_PORT}/[^\s?#]*",
        "must be http:// or https://, a host and a path, such as http://collector.example:4318/v1/traces, "
        "without a user, ? or #; a port is from 1 to 65535",
        has_host,
    ),
]
"""URL of a service, with its path."""
Page = Annotated[
    str,
    Spelled(
        rf"\*|https?://{HOST_AND_PORT}",
        "must be https:// and a host without a path, such as https://viewer.example, or *",
        lambda url: url == "*" or has_host(url),
    ),
]
"""Origin of a page (RFC 6454), or all."""
