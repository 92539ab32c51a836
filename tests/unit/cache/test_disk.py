"""What a directory may do to a tier: fill up, go, be damaged, or lose its process in the middle."""

import asyncio
import errno
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from time import sleep

import pytest

from proxy.cache.disk import Disk
from proxy.cache.record import Clocks
from proxy.cache.shelf import AT_ONCE, UNFINISHED
from proxy.cache.tier import SMALL, Wrong
from proxy.frame.frame import Frame
from proxy.frame.key import FrameKey
from proxy.frame.scope import FrameScope
from tests.unit.cache.test_tier import BIG, KEY, SECRET, disk, ended, frame, rest_of, whole

pytestmark = pytest.mark.anyio

UNKNOWN = FrameScope("pacs", "7")


def numbered(number: int) -> FrameKey:
    return replace(KEY, resource=replace(KEY.resource, frame_number=number + 1))


def files(path: Path) -> list[Path]:
    return [each for each in path.rglob("*") if each.is_file()]


def rests(path: Path) -> list[Path]:
    return [each for each in files(path) if "index" not in each.name]


async def made(path: Path, **more: object) -> Disk:
    return await asyncio.to_thread(lambda: disk(path, **more))  # type: ignore[arg-type]


async def firsts_of(tier: Disk, count: int) -> list[int]:
    """The bytes that a tier gives at once of each frame."""
    found = [await tier.first(numbered(number)) for number in range(count)]
    return [0 if each is None else each.size for each in found]


async def rests_of(tier: Disk, kept: Frame, count: int) -> list[int]:
    return [number for number in range(count) if await rest_of(tier, kept, 65536, numbered(number))]


async def test_a_restart_finds_all(tmp_path: Path) -> None:
    kept = frame(BIG)
    async with ended(await made(tmp_path)) as tier:
        await tier.put(KEY, kept)
    async with ended(await made(tmp_path)) as tier:
        assert await tier.first(KEY) is not None
        assert await rest_of(tier, kept, 65536) == whole(kept)[65536:]


async def test_rests_leave_before_first_bytes_and_those_used_longest_ago_first(tmp_path: Path) -> None:
    kept, count = frame(BIG), 20
    async with ended(await made(tmp_path, most=15 * BIG)) as tier:
        for number in range(count):
            await tier.put(numbered(number), kept)
            assert await tier.first(numbered(0)) is not None
        assert await firsts_of(tier, count) == [65536] * count
        left = await rests_of(tier, kept, count)
        assert 0 in left
        assert set(left) - {0} == set(range(count - len(left) + 1, count))
        assert sum(each.stat().st_size for each in files(tmp_path)) < 15 * BIG


async def test_first_bytes_leave_if_they_have_more_than_their_share(tmp_path: Path) -> None:
    count, size = 800, 65536
    async with ended(await made(tmp_path, most=count * size)) as tier:
        for number in range(count):
            await tier.put(numbered(number), frame(size))
        left = [number for number, size in enumerate(await firsts_of(tier, count)) if size]
        assert left == list(range(count - len(left), count))
        assert 300 < len(left) < 700
        while await tier.tend():
            pass
        assert sum(each.stat().st_size for each in files(tmp_path)) < count * size


async def test_what_left_leaves_no_file(tmp_path: Path) -> None:
    async with ended(await made(tmp_path, most=8 * BIG)) as tier:
        for number in range(10):
            await tier.put(numbered(number), frame(BIG))
        held = await rests_of(tier, frame(BIG), 10)
        assert len(rests(tmp_path)) == len(held)
        await tier.forget(FrameScope("pacs"))
        assert rests(tmp_path) == []


async def test_a_frame_that_was_brought_from_here_is_not_written_again(tmp_path: Path) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(KEY, frame(BIG))
        log = tmp_path / "disk" / "frames" / "index.sqlite-wal"
        found, before = await tier.first(KEY), log.stat().st_size
        await tier.put(KEY, found)
        assert log.stat().st_size == before
        claim = replace(found.identity.claim, lease=replace(found.identity.claim.lease, own=1.0))
        await tier.put(KEY, replace(found, identity=replace(found.identity, claim=claim)))
        assert (await tier.first(KEY)).identity.claim.lease.own == 1.0


async def test_time_is_over(tmp_path: Path) -> None:
    async with ended(await made(tmp_path, ttl=1e-9)) as tier:
        await tier.put(KEY, frame(BIG))
        assert await tier.first(KEY) is None
        assert await rest_of(tier, frame(BIG), 0) == b""
        await tier.tend()
        assert rests(tmp_path) == []


async def test_frames_whose_time_is_over_leave_some_at_once(tmp_path: Path) -> None:
    count = 2 * AT_ONCE + 9
    async with ended(await made(tmp_path, ttl=1e-9)) as tier:
        for number in range(count):
            await tier.put(numbered(number), frame(300))
        left = [count]
        with closing(sqlite3.connect(tmp_path / "disk" / "frames" / "index.sqlite")) as index:
            while await tier.tend():
                left += index.execute("SELECT count(*) FROM frames").fetchone()
    assert left == [count, count - AT_ONCE, count - 2 * AT_ONCE]


async def test_a_start_with_less_room_drops_some_at_once(tmp_path: Path) -> None:
    frames = AT_ONCE + 9
    async with ended(await made(tmp_path)) as tier:
        for number in range(frames):
            await tier.put(numbered(number), frame(SMALL + 1))
    async with ended(await made(tmp_path, most=20 << 20)) as tier:
        tier._shelf._most = frames * 65536  # room for some of them
        tier._shelf._most_firsts = tier._shelf._most
        calls = 1
        while await tier.tend():
            calls += 1
        assert calls > 1
        firsts, rests = await asyncio.to_thread(tier._shelf.make_room)
        assert 0 < firsts + rests <= tier._shelf._most


async def test_a_frame_from_the_future_is_not_used(tmp_path: Path) -> None:
    now = 1e9
    clocks = Clocks(lambda: 200.0, lambda: now)
    async with ended(await made(tmp_path, clocks=clocks)) as tier:
        await tier.put(KEY, frame(1000))
        now = 5e8
        with pytest.raises(Wrong):
            await tier.first(KEY)


async def test_another_boot_dates_a_lease_by_the_wall_clock(tmp_path: Path) -> None:
    async with ended(await made(tmp_path, clocks=Clocks(lambda: 150.0, lambda: 1e9))) as tier:
        await tier.put(KEY, frame(1000))  # 50 seconds old
    async with ended(await made(tmp_path, clocks=Clocks(lambda: 7.0, lambda: 1e9 + 30))) as tier:
        found = await tier.first(KEY)
        assert found is not None
        assert found.identity.claim.lease.since == pytest.approx(7.0 - 80.0)


async def test_nothing_names_a_study_and_only_plain_pixels_can_be_read(tmp_path: Path) -> None:
    key = FrameKey("pacs", b"asked", replace(KEY.resource, study="1.2.840.99", series="1.2.840.98"))
    secret = b"the pixels of a patient"
    kept = frame(BIG, validator='"1.2.840.97"')
    kept = replace(kept, pieces=(kept.pieces[0][:-23] + secret, *kept.pieces[1:]))
    for place, content_key in (("open", None), ("closed", SECRET)):
        path = tmp_path / place
        path.mkdir()
        async with ended(await made(path, content_key=content_key)) as tier:
            await tier.put(key, kept)
            written = b"".join(each.read_bytes() for each in files(path))
        assert not any(
            word in written for word in (b"1.2.840", b"pacs", b"image/jphc", b"etag", b"none-match")
        )
        assert (secret in written) == (content_key is None)


async def test_another_key_finds_nothing(tmp_path: Path) -> None:
    async with ended(await made(tmp_path, content_key=SECRET)) as tier:
        await tier.put(KEY, frame(1000))
    async with ended(await made(tmp_path, content_key=b"x" * 32)) as tier:
        with pytest.raises(Wrong):
            await tier.first(KEY)


async def test_an_entry_that_does_not_open_is_dropped(tmp_path: Path) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(KEY, frame(BIG))
        (file,) = rests(tmp_path)
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(Wrong):
            await rest_of(tier, frame(BIG), 65536)
        await tier.tend()
        assert await tier.first(KEY) is None
        assert rests(tmp_path) == []


@pytest.mark.parametrize("column", ["version", "record", "begin", "held", "content"])
async def test_a_row_with_a_value_of_another_type_is_wrong(tmp_path: Path, column: str) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(KEY, frame(1000))
        index = sqlite3.connect(tmp_path / "disk" / "frames" / "index.sqlite", isolation_level=None)
        index.execute(f"UPDATE {'firsts' if column == 'content' else 'frames'} SET {column} = 1.5")
        index.close()
        with pytest.raises(Wrong):
            await tier.first(KEY)
        await tier.tend()
        assert await tier.first(KEY) is None


async def test_a_file_of_another_frame_is_wrong(tmp_path: Path) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(numbered(0), frame(BIG))
        (one,) = rests(tmp_path)
        await tier.put(numbered(1), frame(BIG))
        (two,) = set(rests(tmp_path)) - {one}
        shutil.copy(one, two)
        with pytest.raises(Wrong):
            await rest_of(tier, frame(BIG), 65536, numbered(1))


async def test_a_file_that_has_gone_is_an_error_for_the_rest_only(tmp_path: Path) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(KEY, frame(BIG))
        rests(tmp_path)[0].unlink()
        with pytest.raises(FileNotFoundError):
            await rest_of(tier, frame(BIG), 65536)
        assert await tier.first(KEY) is not None


async def test_a_directory_that_goes_is_begun_anew(tmp_path: Path) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(KEY, frame(BIG))
        await asyncio.to_thread(shutil.rmtree, tmp_path / "disk")
        assert await tier.first(KEY) is None
        await tier.forget(UNKNOWN)
        await tier.put(KEY, frame(BIG))
        assert await rest_of(tier, frame(BIG), 65536) == whole(frame(BIG))[65536:]


async def test_a_place_that_is_no_directory_fails_each_call(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    async with ended(await made(tmp_path)) as tier:
        for call in (tier.first(KEY), tier.put(KEY, frame(1000)), tier.forget(UNKNOWN), tier.tend()):
            with pytest.raises(OSError, match="File exists"):
                await call


async def test_a_full_disk_keeps_what_it_had(tmp_path: Path) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(numbered(0), frame(BIG))
        write = tier._shelf._write

        def full(*given: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        tier._shelf._write = full
        with pytest.raises(OSError, match="No space"):
            await tier.put(numbered(1), frame(BIG))
        assert await firsts_of(tier, 2) == [65536, 65536]
        assert await rests_of(tier, frame(BIG), 2) == [0]
        tier._shelf._write = write
        await tier.put(numbered(1), frame(BIG))
        assert await rests_of(tier, frame(BIG), 2) == [0, 1]


@pytest.mark.parametrize("damage", [b"", b"not a database" * 1000, None, b"CREATE T\xcbBLE"])
async def test_an_index_that_is_none_is_set_aside(tmp_path: Path, damage: bytes | None) -> None:
    async with ended(await made(tmp_path)) as tier:
        await tier.put(KEY, frame(BIG))
    index = tmp_path / "disk" / "frames" / "index.sqlite"
    if damage is None:
        with sqlite3.connect(index) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    else:
        is_schema = damage.startswith(b"CREATE")
        index.write_bytes(index.read_bytes().replace(b"CREATE TABLE", damage) if is_schema else damage)
    async with ended(await made(tmp_path)) as tier:
        with suppress(sqlite3.DatabaseError):
            await tier.first(KEY)
        await tier.put(KEY, frame(BIG))
        assert await rest_of(tier, frame(BIG), 65536) == whole(frame(BIG))[65536:]
        await tier.tend()
        assert not list((tmp_path / "disk").glob("aside-*"))


FLIPPED = [
    frame(size, first=first, seed=size) for size, first in ((300, 300), (9000, 4096), (SMALL + 9000, 4096))
]


def right_or_nothing(path: Path) -> int:
    """Reads all that can be read, each byte of which has to be right. Returns the number of bytes."""
    tier, seen = disk(path), 0
    for number, kept in enumerate(FLIPPED):
        name, bytes_of = tier._names.of(numbered(number)), whole(kept)
        with suppress(Wrong, OSError, sqlite3.Error):
            first = tier._first(name)
            if first is not None:
                assert whole(first) == bytes_of[: first.size]
                assert replace(first.identity.claim, lease=kept.identity.claim.lease) == kept.identity.claim
                seen += first.size
        with suppress(Wrong, OSError, sqlite3.Error):
            opened = tier._open(kept.identity, name)
            if opened is not None:
                got = b""
                try:
                    for read in opened.reads(4096):
                        got += read()
                finally:
                    assert bytes_of[4096:].startswith(got)
                    opened.close()
                seen += len(got)
    tier._shelf.close()
    return seen


def flipped(path: Path, step: int) -> Iterator[tuple[Path, int]]:
    """Flips one bit in each `step` bytes of all files, one after the other, and yields while it is wrong."""
    dice = random.Random(step)
    for file in files(path):
        right = file.read_bytes()
        for start in range(0, len(right), step):
            at = min(len(right) - 1, start + dice.randrange(step))
            file.write_bytes(right[:at] + bytes([right[at] ^ 1 << dice.randrange(8)]) + right[at + 1 :])
            yield file, at
        file.write_bytes(right)


def never_a_wrong_byte(path: Path, step: int) -> None:
    (path / "kept").mkdir()
    tier = disk(path / "kept")
    for number, kept in enumerate(FLIPPED):
        tier._put(numbered(number), kept)
    tier._shelf.close()
    shutil.copytree(path / "kept", path / "read")
    everything, short = right_or_nothing(path / "read"), 0
    assert everything > SMALL
    for _ in flipped(path / "kept", step):
        shutil.rmtree(path / "read")
        shutil.copytree(path / "kept", path / "read")
        short += right_or_nothing(path / "read") < everything
    assert short


@pytest.mark.slow
def test_one_wrong_bit_anywhere_gives_no_wrong_byte(tmp_path: Path) -> None:
    never_a_wrong_byte(tmp_path, 997)


@pytest.mark.slow
def test_one_wrong_bit_everywhere_gives_no_wrong_byte(tmp_path: Path) -> None:
    never_a_wrong_byte(tmp_path, 41)


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.unit.cache.test_disk import disk, frame, numbered

async def main():
    path, start = Path(sys.argv[1]), int(sys.argv[2])
    tier = disk(path, most=64 << 20)
    for number in range(start, start + 100000):
        await tier.put(numbered(number), frame(1_400_000 if number % 3 else 50_000, seed=number))
        print(number, flush=True)

asyncio.run(main())
"""


def killed(path: Path, rounds: int) -> None:
    dice, start, stored = random.Random(1), 0, list[int]()
    for _ in range(rounds):
        command = [sys.executable, "-c", WRITER, str(path), str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(dice.randrange(1, 12)):
                stored.append(int(writer.stdout.readline()))
            sleep(dice.random() * 0.02)
            writer.send_signal(signal.SIGKILL)
            stored += map(int, writer.stdout.read().split())
        start = stored[-1] + 2
        tier = disk(path, most=64 << 20)
        for number in stored[-12:]:  # older ones may have been displaced
            kept = frame(1_400_000 if number % 3 else 50_000, seed=number)
            first = tier._first(tier._names.of(numbered(number)))
            assert first is not None
            assert whole(first) == whole(kept)[: first.size]
            opened = tier._open(kept.identity, tier._names.of(numbered(number)))
            assert opened is not None
            assert b"".join(read() for read in opened.reads(65536)) == whole(kept)[65536:]
            opened.close()
        tier._close()
    index = sqlite3.connect(path / "disk" / "frames" / "index.sqlite")
    known = {name for (name,) in index.execute("SELECT rest FROM frames UNION SELECT file FROM pending")}
    assert {each.name for each in rests(path)} <= known
    index.execute("UPDATE pending SET since = since - ?", (UNFINISHED,))
    index.commit()
    index.close()
    tier = disk(path)
    tier._tend()
    index = sqlite3.connect(path / "disk" / "frames" / "index.sqlite")
    named = {name for (name,) in index.execute("SELECT rest FROM frames WHERE rest <> ''")}
    index.close()
    tier._close()
    assert {each.name for each in rests(path)} == named


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing_that_it_said_was_stored(tmp_path: Path) -> None:
    killed(tmp_path, int(os.environ.get("KILLS", "12")))


async def test_two_processes_share_a_directory(tmp_path: Path) -> None:
    async with ended(await made(tmp_path)) as one, ended(await made(tmp_path)) as two:
        await asyncio.gather(*(one.put(numbered(number), frame(BIG)) for number in range(0, 12, 2)))
        await asyncio.gather(*(two.put(numbered(number), frame(BIG)) for number in range(1, 12, 2)))
        for tier in (one, two):
            assert await rests_of(tier, frame(BIG), 12) == list(range(12))
        await one.forget(FrameScope("pacs"))
        assert await firsts_of(two, 12) == [0] * 12
