"""The metadata of an instance as its tree gives it: of the frames that are there, without pixels."""

from base64 import b64decode

from pydicom.dataset import Dataset

from proxy.archive.manifest import digest
from proxy.archive.tree import Json, changed
from proxy.wire.dicomjson import FRAMES, TRANSFER_SYNTAXES
from proxy.wire.media import HTJ2K_RPCL
from proxy.wire.pixels import ImagePixel

MOST_INLINE = 1024
"""Bytes of binary values that stand in metadata; larger ones have a URL of their own."""

_CHARACTERS, _PHOTOMETRIC, _PLANAR = "00080005", "00280004", "00280006"
_NOT_SAID = (0x7FE00008, 0x7FE00009, 0x7FE00010, 0xFFFCFFFC)
"""Pixels, and padding."""
_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def metadata_of(dataset: Dataset) -> tuple[Json, list[str]]:
    """All that can be said in JSON, binary values inline; and the tags of what can't.

    Without pixels and group lengths.
    """
    metadata: Json = {}
    left_out: list[str] = []
    for tag in sorted(dataset.keys()):
        name = f"{tag:08X}"
        if tag.element == 0 or tag in _NOT_SAID:
            continue
        try:
            metadata[name] = dataset[tag].to_json_dict(None, 0)
        except Exception:  # whatever a value that breaks its own rules breaks
            left_out.append(name)
    if _CHARACTERS in metadata:
        metadata[_CHARACTERS]["Value"] = ["ISO_IR 192"]  # JSON is UTF-8 (PS3.18 annex F)
    return changed(metadata, _finite), left_out


def _finite(element: Json) -> Json:
    """JSON has no number for what is no number."""
    if element["vr"] not in ("FL", "FD", "DS") or "Value" not in element:
        return element
    values = [_WORDS.get(str(value), value) for value in element["Value"]]
    return element | {"Value": values}


def outsourced(metadata: Json) -> tuple[Json, dict[str, bytes]]:
    """The same with URLs for what is large, relative to the instance; and that, by its name below it."""
    large: dict[str, bytes] = {}

    def moved(element: Json) -> Json:
        text = element.get("InlineBinary", "")
        if len(text) * 3 // 4 <= MOST_INLINE or len(content := b64decode(text)) <= MOST_INLINE:
            return element
        name = f"bulkdata/{digest(content)}"
        large[name] = content
        return {"vr": element["vr"], "BulkDataURI": name}

    return changed(metadata, moved), large


def of_frames(metadata: Json, number_of_frames: int, syntax: str) -> Json:
    """What it says of its frames in that transfer syntax."""
    told = metadata | {
        TRANSFER_SYNTAXES[0]: {"vr": "UI", "Value": [syntax]},
        FRAMES: {"vr": "IS", "Value": [number_of_frames]},
    }
    return dict(sorted(told.items()))


def of_encoded(metadata: Json, pixel: ImagePixel, syntax: str) -> Json:
    """What it says of its pixels once they were encoded; only colour changes (PS3.5 8.2.4)."""
    if pixel.samples == 1:
        return metadata
    told = metadata | {_PLANAR: {"vr": "US", "Value": [0]}}
    if pixel.photometric != "YBR_FULL":
        form = "YBR_RCT" if syntax == HTJ2K_RPCL else "RGB"
        told[_PHOTOMETRIC] = {"vr": "CS", "Value": [form]}
    return dict(sorted(told.items()))
