"""Shell completion of all commands and options. Imports shtab."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

from proxy.plan.names import STOCK


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns a script for a shell. The parsers of commands are filled first."""
    for each in _all(parser):
        for action in each._actions:  # noqa: SLF001  # argparse has no other way to its options
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab is told
            elif action.dest == "profile":
                action.choices = STOCK
    return str(shtab.complete(parser, shell))


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    if fill := getattr(parser, "fill", None):
        fill()
    yield parser
    for action in parser._actions:  # noqa: SLF001  # likewise
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # likewise
            for command in action.choices.values():
                yield from _all(command)
