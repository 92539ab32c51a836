"""The format of log lines: JSON objects, or plain text for people. Both go to standard error."""

import json
import logging
import sys

from pythonjsonlogger.json import JsonFormatter

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that each record has; all others are fields of the line."""


class TextFormatter(logging.Formatter):
    """Lines for people: the message, and each field as `name=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the library's spelling
        """The line, in front of a traceback."""
        fields = (f" {name}={_written(value)}" for name, value in vars(record).items() if name not in _OWN)
        return super().formatMessage(record) + "".join(fields)


def _written(value: object) -> str:
    """A value as text, as JSON if it has spaces or characters that do not print.

    >>> _written(404), _written("first\\nsecond"), _written(["a", "b"]), _written(None)
    ('404', '"first\\\\nsecond"', '["a", "b"]', 'null')
    """
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(' "='):
        return value
    return json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable(), default=str)


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
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn logs a response that the proxy aborts on purpose as a server error. The proxy counts and logs
    # those itself.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)
