"""`inspect`: what it prints for files and URLs, for people and as JSON."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, HTJ2KLosslessRPCL, SecondaryCaptureImageStorage

from proxy.cli import main
from proxy.codestream.layout import read_layout
from proxy.codestream.report import report
from proxy.commands import inspect
from tests.codestreams import PARTS, htj2k, picture
from tests.scripted_origin import FRAME, Asked, Reply, ScriptedOrigin, running

BODY = htj2k(picture(300, 512), **PARTS)
PLAIN = htj2k(picture(300, 512, 3, dtype="u1"), decompositions=2)


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["inspect", *arguments])
    return status, *capsys.readouterr()


def file_of(folder: Path, content: bytes) -> str:
    path = folder / "file"
    path.write_bytes(content)
    return str(path)


def dicom(folder: Path, frames: list[bytes], *, is_encapsulated: bool = True) -> str:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = HTJ2KLosslessRPCL if is_encapsulated else ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.NumberOfFrames = len(frames)
    dataset.PixelData = encapsulate(frames) if is_encapsulated else frames[0]
    dataset["PixelData"].VR = "OB"
    dataset.save_as(folder / "file.dcm")
    return str(folder / "file.dcm")


def test_json_has_the_form_the_ends_and_whether_it_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = inspected(capsys, file_of(tmp_path, BODY), "--json")
    told, layout = json.loads(out), read_layout(BODY)
    assert status == 0
    assert layout is not None
    resolutions = told.pop("resolutions")
    assert told == {
        "width": 512, "height": 300, "components": 1, "bit_depth": 16, "decompositions": 5,
        "progression": "RPCL", "tiles": 1, "tile_parts": 6, "have": len(BODY), "total": len(BODY),
        "method": "tlm", "reason": "", "reasons": [], "conformant_202": True, "whole": True, "fault": "",
    }  # fmt: skip
    assert [each["reduce"] for each in resolutions] == [5, 4, 3, 2, 1, 0]
    assert [(each["width"], each["height"]) for each in resolutions] == list(layout.sizes)
    assert [each["end"] for each in resolutions] == list(layout.ends)


def test_the_text_is_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = inspected(capsys, file_of(tmp_path, PLAIN))
    lines, found = out.splitlines(), report(PLAIN)
    shown = found.shown_by(65536)
    assert status == 0
    assert shown is not None
    assert lines[1].split() == [
        "1", "512x300", "8x3", "RPCL", "1", "walk", f"{len(PLAIN):,}",
        f"{shown.width}x{shown.height}", f"(1/{1 << shown.reduce})", "no",
    ]  # fmt: skip
    assert lines[3:5] == ["2 decompositions, no TLM", "complete"]
    assert "128x75, above 64; it has no TLM" in out.replace("\n  ", " ")
    assert lines[-1].split() == ["1/1", "512x300", f"{found.resolutions[-1].end:,}", "100.0%"]
    assert all(len(line) <= 80 for line in lines)


def test_a_prefix_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = inspected(capsys, file_of(tmp_path, PLAIN[:9000]))
    assert status == 1
    assert "not complete: it does not end with EOC" in out
    assert out.splitlines()[-1].split() == ["1/1", "512x300", "?"]


def test_each_frame_of_a_dicom_file_has_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = BODY + b"\0" * (len(BODY) % 2)
    status, out, _ = inspected(capsys, dicom(tmp_path, [odd, b"no codestream", odd]))
    lines = out.splitlines()
    assert status == 1
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert lines[2] == "    2 not a codestream: it does not start with SOC and SIZ"
    assert "Details of the first frame:" in lines
    status, out, _ = inspected(capsys, dicom(tmp_path, [odd, odd]), "--json")
    assert status == 0
    assert [json.loads(line)["whole"] for line in out.splitlines()] == [True, True]


def test_a_boxed_file_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\x00\x00\x00\x0cftypjph "
    for head in (
        (len(BODY) + 8).to_bytes(4, "big") + b"jp2c",
        b"\0\0\0\1jp2c" + (len(BODY) + 16).to_bytes(8, "big"),
        b"\0\0\0\0jp2c",
    ):
        status, out, _ = inspected(capsys, file_of(tmp_path, boxes + head + BODY), "--json")
        assert (status, json.loads(out)["total"]) == (0, len(BODY))
    status, out, err = inspected(capsys, file_of(tmp_path, boxes + b"\0\0\0\1jp2h\0\0"))
    assert (status, out, err) == (1, "", "progressive-proxy: the JPH file has no codestream\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "neither a codestream nor DICOM"), (b"hello" * 100, "neither a codestream nor DICOM")],
)
def test_another_file_is_refused(
    tmp_path: Path, content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = inspected(capsys, file_of(tmp_path, content))
    assert (status, out) == (1, "")
    assert said in err
    status, _, err = inspected(capsys, str(tmp_path / "missing"))
    assert (status, "No such file" in err) == (1, True)


def test_pixels_that_are_not_encapsulated_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = inspected(capsys, dicom(tmp_path, [bytes(8)], is_encapsulated=False))
    assert status == 1
    assert err.endswith("the pixels are not encapsulated: Explicit VR Little Endian\n")


@pytest.mark.parametrize("is_multipart", [False, True])
def test_a_frame_of_a_server(is_multipart: bool, capsys: pytest.CaptureFixture[str]) -> None:
    def script(asked: Asked) -> Reply | None:
        if is_multipart and asked.headers["accept"] == "image/jphc":
            return Reply(406, {})
        if is_multipart:
            part = b"--x\r\nContent-Type: image/jphc\r\n\r\n" + BODY + b"\r\n--x--"
            return Reply(200, {"content-type": "multipart/related; boundary=x"}, (part,))
        return None

    async def ask() -> int:
        async with running(ScriptedOrigin({FRAME: BODY}, script)) as origin:
            options = argparse.Namespace(source=origin.url + FRAME, json=True, via=None)
            return await asyncio.to_thread(inspect.inspect, options)

    assert asyncio.run(ask()) == 0
    assert json.loads(capsys.readouterr().out)["total"] == len(BODY)
