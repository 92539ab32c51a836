"""A command whose output nobody reads any more ends quietly, whichever command it is."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from proxy.cli import UNREAD, main
from proxy.codecs.htj2k import encode_htj2k
from proxy.commands.processes import Children, address, listen
from proxy.demo import origin as demo_origin
from tests import dicom_files
from tests.unit.commands.test_cli import COMMAND, PATIENCE

pytestmark = pytest.mark.slow

SERIES = f"--study {dicom_files.STUDY} --series {dicom_files.STUDY}.1"
COMMANDS = (
    "--help",
    "--version",
    "check {config}",
    "check --schema",
    "check --profile interleaved",
    "check --origin {origin}",
    "create --output {new} {file}",
    "create --output {new} --nginx",
    "demo --exit --network local --tree {tree}",
    "inspect {frame}",
    "inspect --json {frame}",
    "measure {origin} --network local",
    "measure {origin} --network local --json",
    "plan interleaved --images 9",
    "plan interleaved --images 9 --json",
    f"plan single --run --origin {{origin}} {SERIES}",
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What stands for the names in `COMMANDS`: files, and an origin that serves a tree of one image."""
    folder = tmp_path_factory.mktemp("output")
    file = dicom_files.write(folder, "CT_small")
    tree, config = folder / "tree", folder / "config.yaml"
    assert main(["create", "--output", str(tree), str(file)]) == 0
    frame = folder / "frame.jph"
    frame.write_bytes(encode_htj2k(np.zeros((64, 64), np.uint8)))
    config.write_text("origins: [{url: 'http://pacs'}]\n")
    with Children() as children, listen() as listener:
        children.start("origin", demo_origin.run, listener, str(tree))
        host, port = address(listener)
        yield {
            "config": str(config),
            "file": str(file),
            "frame": str(frame),
            "origin": f"http://{host}:{port}",
            "tree": str(tree),
        }


def arguments_of(command: str, places: dict[str, str], tmp_path: Path) -> list[str]:
    named = places | {"new": str(tmp_path / "new")}
    return [argument.format(**named) for argument in command.split()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_ends_quietly_when_its_reader_has_gone(
    command: str, places: dict[str, str], tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [COMMAND, *arguments_of(command, places, tmp_path)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            check=False,
        )
    finally:
        os.close(writer)
    said = [line for line in ended.stderr.replace("\r", "\n").splitlines() if not is_progress(line)]
    assert (ended.returncode, said) == (UNREAD, [])


def is_progress(line: str) -> bool:
    return not line.strip() or line.startswith(("Converting", "Encoding", "Fetching", "Measuring"))


def test_a_command_does_its_work_when_the_shell_closed_its_output(tmp_path: Path) -> None:
    file, tree = dicom_files.write(tmp_path, "CT_small"), tmp_path / "tree"
    line = f"{COMMAND} create --output {tree} {file} >&-"
    ended = subprocess.run(
        ["sh", "-c", line], stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert (tree / "studies").is_dir()


def test_output_that_cannot_be_written_is_an_error() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [COMMAND, "check", "--schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "progressive-proxy: No space left on device\n")
