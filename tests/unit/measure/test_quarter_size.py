import imagecodecs
import numpy as np
import pytest

from proxy.codecs.htj2k import complete_reduce, encode_htj2k
from proxy.measure.picture import MeasuredPicture
from proxy.measure.quarter_size import quarter_end
from proxy.wire.multipart import SINGLE_PART, Wrapping, wrap

NOISE = np.random.default_rng(3).integers(0, 4096, (512, 512), dtype=np.uint16)


def test_a_decoder_finds_the_quarter_in_these_bytes_and_not_in_fewer() -> None:
    codestream = encode_htj2k(NOISE)
    end = quarter_end(codestream)
    assert complete_reduce(codestream, end) == 2
    assert complete_reduce(codestream, end - 1) == 3


def test_where_nothing_tells_it_is_64_kib_or_all_there_is() -> None:
    silent = bytes(imagecodecs.htj2k_encode(NOISE, tlm=True))
    assert len(silent) > 65536
    assert [quarter_end(each) for each in (silent, silent[:9], b"GIF89a", b"")] == [65536, 9, 6, 0]


def test_a_tlm_that_tells_too_much_does_not_wait_for_ever() -> None:
    codestream = encode_htj2k(NOISE)
    assert quarter_end(codestream[:9_000]) == 9_000


@pytest.mark.parametrize("wrapping", [SINGLE_PART, wrap("border", "image/jphc")])
def test_a_picture_knows_when_each_of_its_bytes_was_there(wrapping: Wrapping) -> None:
    picture = MeasuredPicture(is_progressive=True)
    body = wrapping.before + bytes(1000) + wrapping.after
    picture.begin(200, {"content-type": 'multipart/related; type="a/b"' if wrapping.before else "a/b"}, None)
    for now in range(0, len(body), 10):
        picture.take(body[now : now + 10], float(now))
    picture.end(5000.0)
    times = [picture.had_at(size) for size in range(1, 1001)]
    assert times == sorted(times)
    assert all(size <= at + 10 for size, at in enumerate(times, 1))
    assert times[500] <= 510 + len(wrapping.before) + len(wrapping.after)
