"""The program's commands. A command's module is imported only if it is chosen, so all start quickly."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from proxy.errors import ConfigurationError, ProxyError

DESCRIPTION = """\
A caching proxy for medical images, in front of any DICOMweb server (an origin). It fetches the first bytes
of every frame before the rest of any, so that viewers such as OHIF show every picture at once.
"""
EPILOG = """\
how to begin:
  progressive-proxy check --origin http://pacs.example:8042/dicom-web   what the server can do
  progressive-proxy check config.yaml                                   is the configuration right
  progressive-proxy serve --config config.yaml                          run the proxy

COMMAND --help describes a command. All settings: progressive-proxy check --schema
"""
COMMANDS = {
    "serve": ("run the proxy until Ctrl-C or SIGTERM", "progressive-proxy serve --config config.yaml"),
    "check": (
        "check a configuration or a profile, or try an origin",
        "progressive-proxy check config.yaml",
    ),
    "plan": (
        "print the fetches of a series in order, or run them at an origin",
        "progressive-proxy plan interleaved --images 20",
    ),
    "warm": (
        "make a running proxy fetch studies before anybody asks, and wait for it",
        "progressive-proxy warm --admin http://127.0.0.1:8081",
    ),
    "inspect": (
        "describe a frame and where its resolutions end",
        "progressive-proxy inspect image.dcm",
    ),
    "create": (
        "create a static DICOMweb tree from DICOM files",
        "progressive-proxy create /scans -o /srv/tree",
    ),
    "demo": (
        "compare ways to load real images on a page, with and without the proxy",
        "progressive-proxy demo --network 50/10/20ms",
    ),
    "measure": (
        "measure first and final pictures of any server, with and without the proxy",
        "progressive-proxy measure http://pacs.example:8042/dicom-web",
    ),
}
"""For each command, what it does and an example."""

INTERRUPTED = 130
"""Exit status (128 + SIGINT) after Ctrl-C, if the work was not done."""
UNREAD = 141
"""Exit status (128 + SIGPIPE) if the reader of the output went away, as `head` does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    try:
        return _run(arguments)
    except ConfigurationError as error:  # the message contains path and line
        print(error, file=sys.stderr)
        return 1
    except ProxyError as error:
        print(f"progressive-proxy: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        _discard_output()
        return UNREAD
    except OSError as error:  # without the error number
        told = ": ".join(str(each) for each in (error.filename, error.strerror) if each)
        print(f"progressive-proxy: {told or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    if sys.stdout is None:  # the shell closed it: `>&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # open until the process ends
    # The parent ends its children, so a SIGTERM has to unwind it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = _parser().parse_args(arguments)
        return int(options.command(options))
    finally:
        sys.stdout.flush()  # at the interpreter's exit it would be too late to handle an error


def _discard_output() -> None:
    """Sends what is still buffered to nowhere, or the interpreter would complain about it at its exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(version("progressive-proxy"))
        parser.exit()


class _Completion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, _: object, shell: Any, *__: object) -> None:  # noqa: ANN401  # as argparse has it
        from proxy.commands.completion import completion

        print(completion(parser, shell))
        parser.exit()


class _Command(argparse.ArgumentParser):
    """A command's parser. It gets its options when the command is chosen, so no other command is imported."""

    add: Callable[[argparse.ArgumentParser], None] | None = None

    def fill(self) -> None:
        """Adds the options, once."""
        if self.add is not None:
            add, self.add = self.add, None
            add(self)

    def parse_known_args(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401  # as argparse has it
        """Parses the command's arguments."""
        self.fill()
        return super().parse_known_args(*arguments, **named)


def _parser() -> argparse.ArgumentParser:
    as_it_is = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "progressive-proxy", description=DESCRIPTION, epilog=EPILOG, formatter_class=as_it_is
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.add_argument(
        "--print-completion",
        action=_Completion,
        choices=("bash", "zsh", "tcsh"),
        help="print what makes this shell complete commands and options",
    )
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=_Command
    )
    for name, (words, example) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=words,
            description=f"{words[0].upper()}{words[1:]}.",
            epilog=f"example:\n  {example}",
            formatter_class=as_it_is,
        )
        command.add = partial(_add_options, name)
    return parser


def _add_options(name: str, parser: argparse.ArgumentParser) -> None:
    """Adds the options of a command, whose module is imported for it."""
    if name == "serve":
        from proxy.commands.serve import add_options
    elif name == "check":
        from proxy.commands.check import add_options
    elif name == "plan":
        from proxy.commands.plan import add_options
    elif name == "warm":
        from proxy.commands.warm import add_options
    elif name == "inspect":
        from proxy.commands.inspect import add_options
    elif name == "create":
        from proxy.commands.create import add_options
    elif name == "demo":
        from proxy.commands.demo import add_demo_options as add_options
    else:
        from proxy.commands.demo import add_measure_options as add_options
    add_options(parser)
