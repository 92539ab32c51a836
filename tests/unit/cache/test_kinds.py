"""The kinds of frames that are held: each key has one, and the store counts each, however a frame leaves."""

import random
from dataclasses import replace

import pytest

from proxy.cache.memory import MemoryStore
from proxy.cache.parts import bytes_in
from proxy.frame.frame import Frame
from proxy.frame.identity import Claim, identify
from proxy.frame.key import FrameKey
from proxy.frame.kinds import KINDS, kind_of
from proxy.telemetry.telemetry import Telemetry
from proxy.wire.picture import Picture
from proxy.wire.resource import FrameResource
from proxy.wire.wanted import STORED

KEY = FrameKey("pacs", b"", FrameResource("1", "2", "3", 4))
PICTURE = replace(KEY, picture=Picture("image/png"))
CLAIM = Claim("image/jphc", 100, None)
MADE = replace(CLAIM, resolution="64x64")


@pytest.mark.parametrize(
    ("key", "claim", "kind"),
    [
        (KEY, CLAIM, "frame"),
        (replace(KEY, form=STORED), CLAIM, "frame"),
        (replace(KEY, query="x=1"), CLAIM, "frame"),
        (KEY, MADE, "made"),
        (replace(KEY, form="image/jls"), CLAIM, "form"),
        (replace(KEY, frames_path="/jls/"), CLAIM, "alternate"),
        (replace(KEY, frames_path="/jls/"), MADE, "made"),
        (PICTURE, MADE, "picture"),
    ],
)
def test_each_key_has_a_kind(key: FrameKey, claim: Claim, kind: str) -> None:
    assert kind_of(key, claim) == kind
    assert kind in KINDS


def frame_of(size: int, seed: int, *, is_made: bool) -> Frame:
    body = random.Random(seed).randbytes(size)
    claim = Claim("image/jls", size, '"1"', resolution="8x8" if is_made else "")
    return Frame(identify(claim, body), (body[:4096], body[4096:]) if size > 4096 else (body,), size)


def test_the_counts_are_right_however_frames_come_and_go() -> None:
    dice, now = random.Random(3), [0.0]
    store = MemoryStore(1 << 20, 0.5, 30.0, Telemetry(), lambda: now[0])
    keys = [
        replace(KEY, resource=FrameResource("1", "2", "3", number), frames_path=path)
        for number in range(1, 60)
        for path in ("", "/jls/")
    ]
    keys += [replace(PICTURE, resource=key.resource) for key in keys]
    most = 0.0
    for step in range(600):
        key = dice.choice(keys)
        now[0] += dice.expovariate(2.0)
        match dice.randrange(5):
            case 0:
                store.drop(key)
            case 1:
                store.get(key)
            case _:
                store.put(key, frame_of(dice.randrange(100, 60_000), step, is_made=dice.random() < 0.5))
        for part in (store._firsts, store._rests):
            found = dict.fromkeys(KINDS, 0.0)
            for each, kept in part.items():
                found[kind_of(each, kept.frame.identity.claim)] += part.getsizeof(kept)
            assert sum(part.sizes.values()) == bytes_in(part)
            assert all(part.sizes[kind] >= found[kind] for kind in KINDS)  # some have expired
        most = max(most, *store._rests.sizes.values())
    assert most > 0
    now[0] += 1000.0
    assert store.size == 0
    assert {*store._firsts.sizes.values(), *store._rests.sizes.values()} == {0}
