"""Reads a URL from a command line."""

import argparse

from proxy.wire.url import is_of_server


def server_url(text: str) -> str:
    """The base URL of a server, for an argument's `type`."""
    if not is_of_server(text):
        # The message must not repeat a password.
        raise argparse.ArgumentTypeError(
            "must be the URL of a server, such as http://127.0.0.1:8042/dicom-web; a port is from 1 to 65535"
        )
    return text
