"""Proves which picture the first bytes of a frame hold, by decoding in a separate process.

A decoder may crash or hang on an origin's bytes; then the picture stays unknown. The process is `python -m
proxy.measure.resolution BYTES`, with the complete codestream on standard input.
"""

import asyncio
import contextlib
import math
import sys

from proxy.codestream.header import read_header
from proxy.errors import CodestreamError

WITHIN = 60.0
"""Seconds for all decoding of one frame."""


async def proved_resolution(codestream: bytes, have: int) -> str | None:
    """Returns the finest resolution that is complete in the first `have` bytes; None if unknown."""
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
    """Returns a resolution as text for people.

    >>> describe(3036, 3036, 4)
    '190x190 (1/16)'
    """
    scale = 1 << reduce
    return f"{math.ceil(width / scale)}x{math.ceil(height / scale)} (1/{scale})"


def main() -> None:
    """Runs the decoding process."""
    from proxy.codecs.htj2k import complete_reduce  # only this process decodes

    reduce = complete_reduce(sys.stdin.buffer.read(), int(sys.argv[1]))
    sys.stdout.write("none" if reduce is None else str(reduce))


if __name__ == "__main__":
    main()
