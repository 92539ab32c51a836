"""What a worker answers to a job, in the test's own process: a real one is confined and killed."""

import io
import json
from dataclasses import replace

import imagecodecs
import numpy as np

from proxy.codecs import worker
from proxy.codecs.jobs import Alternate, Job, job_message
from proxy.wire.media import EXPLICIT_LITTLE_ENDIAN
from proxy.wire.pixels import ImagePixel

PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)
JOB = Job(
    PIXELS.tobytes(), EXPLICIT_LITTLE_ENDIAN, ImagePixel(8, 8, 1, 16, 16, False), Alternate("jpegls"), 1
)


def answer_to(job: Job) -> tuple[dict[str, object], bytes]:
    """The head of the answer, and what was made."""
    head, content = job_message(job)
    length = int.from_bytes(head[:4], "big")
    told, made = worker._answer(json.loads(head[4 : 4 + length]), io.BytesIO(content))
    return json.loads(told[4:]), made


def test_what_was_made_comes_with_its_label_and_size() -> None:
    head, made = answer_to(JOB)
    assert (head["size"], head["content"]) == ([8, 8], len(made))
    assert np.array_equal(imagecodecs.jpegls_decode(made), PIXELS)


def test_a_frame_that_is_too_short_is_an_error() -> None:
    head, made = answer_to(replace(JOB, content=JOB.content[:9]))
    assert (head["error"] != "", made) == (True, b"")
