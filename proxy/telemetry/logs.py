"""The format of log lines: JSON objects, or plain text for people. Both go to standard error."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure(level: str, form: str, worker: int | None = None) -> None:
    """Sets up the root logger. Call it once per process. `form` is "json"; anything else gives plain text.

    `worker` is the number of this process, if there are several.
    """
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                static_fields={} if worker is None else {"worker": worker},
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn logs a response that the proxy aborts on purpose as a server error. The proxy counts and logs
    # those itself.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
