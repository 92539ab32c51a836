"""Which picture the first bytes of a frame hold, proved by decoding in a process of its own.

A decoder may crash or hang on what an origin sends; then nothing is said. The process is
`python -m proxy.measure.resolution BYTES`, with the whole codestream on its standard input.
"""

import asyncio
import contextlib
import math
import sys

from proxy.codestream.header import read_header
from proxy.errors import CodestreamError

WITHIN = 60.0
"""Seconds for all its decoding."""


async def proved_resolution(codestream: bytes, have: int) -> str | None:
    """The finest resolution that the first `have` bytes hold completely; None where it can't be told."""
    try:
        header = read_header(codestream)
    except CodestreamError:
        return None
    reduce = 0 if have >= len(codestream) else await _proved_reduce(codestream, have)
    return None if header is None or reduce is None else describe(header.width, header.height, reduce)


async def _proved_reduce(codestream: bytes, have: int) -> int | None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(have)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        answer, _ = await asyncio.wait_for(process.communicate(codestream), WITHIN)
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return int(answer) if answer.isdigit() else None


def describe(width: int, height: int, reduce: int) -> str:
    """A resolution for people.

    >>> describe(3036, 3036, 4)
    '190x190 (1/16)'
    """
    scale = 1 << reduce
    return f"{math.ceil(width / scale)}x{math.ceil(height / scale)} (1/{scale})"


def main() -> None:
    """The process."""
    from proxy.codecs.htj2k import complete_reduce  # only this process decodes

    reduce = complete_reduce(sys.stdin.buffer.read(), int(sys.argv[1]))
    sys.stdout.write("none" if reduce is None else str(reduce))


if __name__ == "__main__":
    main()
