"""Decoders that know nothing of prefixes, pydicom and dicomweb-client, show a picture that was cut out."""

import asyncio
import warnings
from typing import Any

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLosslessRPCL

from proxy.codecs.htj2k import decode_htj2k
from tests.codestreams import PARTS, htj2k, picture
from tests.house import house
from tests.scripted_origin import ScriptedOrigin, frame_of

pytestmark = pytest.mark.anyio

PICTURES = {
    "unsigned": picture(512, 512),
    "signed": picture(300, 513, dtype="i2"),
    "8 bit": picture(257, 260, dtype="u1"),
    "colour": picture(300, 400, 3, dtype="u1"),
}


def shown_by_pydicom(codestream: bytes, pixels: NDArray[Any]) -> NDArray[Any]:
    """Decodes a codestream with pydicom, as the only frame of an image of that size."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = HTJ2KLosslessRPCL
    dataset.Rows, dataset.Columns, *colours = pixels.shape
    dataset.SamplesPerPixel = colours[0] if colours else 1
    dataset.PhotometricInterpretation = "YBR_RCT" if colours else "MONOCHROME2"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].VR = "OB"
    found: NDArray[Any] = dataset.pixel_array
    return found


@pytest.mark.parametrize("options", [PARTS, {}], ids=["tlm", "no tlm"])
@pytest.mark.parametrize("kind", PICTURES)
async def test_pydicom_and_dicomweb_client_show_a_cut_picture(kind: str, options: dict[str, Any]) -> None:
    body = htj2k(PICTURES[kind], **options)
    async with house(ScriptedOrigin().with_series([body])) as home:
        _, _, study, _, series, _, instance, _, _ = frame_of(0).split("/")

        def ask() -> bytes:
            client = DICOMwebClient(str(home.viewer.base_url).rstrip("/"))
            media = (("application/octet-stream", "*"),)
            [frame] = client.retrieve_instance_frames(
                study, series, instance, [1], media_types=media, additional_params={"fsiz": "60,60"}
            )
            return bytes(frame)

        cut = await asyncio.to_thread(ask)
    expected = decode_htj2k(body, 2 if kind != "unsigned" else 3)
    assert min(expected.shape[:2]) >= 60
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(await asyncio.to_thread(shown_by_pydicom, cut, expected), expected)
