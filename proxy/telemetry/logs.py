"""How log lines are written: one JSON object each, or a line for people; always to standard error."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure(level: str, form: str) -> None:
    """Sets up the root logger, once for the process."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # An answer that is cut on purpose is no error of the server's; we count and log it ourselves.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
