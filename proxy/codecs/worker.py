"""The worker process: reads jobs from standard input and writes results to standard output.

Nothing is pickled, so an attacker who takes over a worker through a fault in a codec can send only bytes. The
process ends when its input ends, or immediately with its parent.
"""

import ctypes
import json
import resource
import signal
import sys
from typing import Any, BinaryIO

from proxy.codecs.jobs import Rendering, message, read_job
from proxy.codecs.render import render
from proxy.codecs.transcode import make
from proxy.errors import CodestreamError, NotMade

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Works until the input ends. The only argument is the limit of memory in bytes."""
    _confine(int(sys.argv[1]))
    source, answers = sys.stdin.buffer, sys.stdout.buffer
    while length := source.read(4):
        head = json.loads(source.read(int.from_bytes(length, "big")))
        answers.writelines(_answer(head, source))
        answers.flush()


def _answer(head: dict[str, Any], source: BinaryIO) -> tuple[bytes, bytes]:
    job = read_job(head, source.read(head["content"]))
    try:
        made = render(job) if isinstance(job, Rendering) else make(job)
    except (CodestreamError, NotMade) as error:
        return message({"error": str(error), "is_possible": not isinstance(error, NotMade)})
    except MemoryError:
        return message({"error": "the job needs more memory than a worker has", "is_possible": True})
    return message({"label": made.label, "size": made.size}, made.content)


def _confine(memory: int) -> None:
    """Limits memory to `memory` bytes, forbids files and core dumps, and ties the process to its parent."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
