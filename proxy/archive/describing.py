"""Builds the metadata of an instance for its tree, without pixels."""

from base64 import b64decode
from contextlib import suppress

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from proxy.archive.manifest import digest
from proxy.archive.tree import Json, changed
from proxy.wire.dicomjson import FRAMES, TRANSFER_SYNTAXES, whole_of
from proxy.wire.media import HTJ2K_RPCL
from proxy.wire.pixels import ImagePixel

MOST_INLINE = 1024
"""Bytes of a binary value in metadata; a larger value gets a URL of its own."""

MOST_NESTED = 32
"""Depth of nested sequences. JSON readers have a limit, beyond which they read nothing of a list."""

_CHARACTERS, _PHOTOMETRIC, _PLANAR, _HIGH = "00080005", "00280004", "00280006", "00280102"
_OVERLAY_BITS, _OVERLAY_DATA = "0100", "3000"
_NOT_SAID = (0x7FE00008, 0x7FE00009, 0x7FE00010, 0xFFFCFFFC)
"""Tags that are left out: pixels and padding."""
_TEXT = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
"""VRs of plain text; DICOM JSON may have numbers as text too (PS3.18 F.2.3)."""
_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def metadata_of(dataset: Dataset) -> tuple[Json, list[str]]:
    """Converts a data set to JSON, binary values inline; also returns what JSON can't represent, and why.

    Pixels and group lengths are left out.
    """
    left_out: list[str] = []
    metadata = _described(dataset, left_out)
    if _CHARACTERS in metadata:
        metadata[_CHARACTERS]["Value"] = ["ISO_IR 192"]  # JSON is UTF-8 (PS3.18 annex F)
    return changed(metadata, _finite), left_out


def _described(dataset: Dataset, left_out: list[str], depth: int = 0) -> Json:
    metadata: Json = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0 or tag in _NOT_SAID:
            continue
        try:
            element = dataset[tag]
            if element.VR != "SQ":
                metadata[f"{tag:08X}"] = element.to_json_dict(None, 0)
            elif depth < MOST_NESTED:
                items = [_described(item, left_out, depth + 1) for item in element.value]
                metadata[f"{tag:08X}"] = {"vr": "SQ", "Value": items}
            else:
                left_out.append(f"{_named(tag)}: sequences more than {MOST_NESTED} deep")
        except Exception:  # a malformed value can cause any error
            _keep_text(metadata, dataset, tag, left_out)
    return metadata


def _keep_text(metadata: Json, dataset: Dataset, tag: BaseTag, left_out: list[str]) -> None:
    """Keeps a malformed value as text if it is text; otherwise records that it is left out."""
    kind, raw = "UN", dataset.get_item(tag)
    with suppress(Exception):  # likewise
        kind = raw.VR or dictionary_VR(tag)
        if kind in _TEXT:
            text = raw.value.decode("ascii") if isinstance(raw.value, bytes) else raw.value
            texts = text.split("\\") if isinstance(text, str) else map(str, text)
            metadata[f"{tag:08X}"] = {"vr": kind, "Value": [each.strip(" \0") for each in texts]}
            return
    left_out.append(f"{_named(tag)}: its value is not a valid {kind}")


def _named(tag: BaseTag) -> str:
    return f"{tag} {keyword_for_tag(tag)}".rstrip()


def _finite(element: Json) -> Json:
    """Replaces NaN and infinities by words, because JSON has no numbers for them."""
    if element["vr"] not in ("FL", "FD", "DS") or "Value" not in element:
        return element
    values = [_WORDS.get(str(value), value) for value in element["Value"]]
    return element | {"Value": values}


def outsourced(metadata: Json) -> tuple[Json, dict[str, bytes]]:
    """Replaces large values by URLs relative to the instance. Also returns these values, by name."""
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
    """Returns the metadata with the number of frames and their transfer syntax."""
    told = metadata | {
        TRANSFER_SYNTAXES[0]: {"vr": "UI", "Value": [syntax]},
        FRAMES: {"vr": "IS", "Value": [number_of_frames]},
    }
    return dict(sorted(told.items()))


def of_encoded(metadata: Json, pixel: ImagePixel, syntax: str) -> Json:
    """Adapts the metadata to encoded pixels: colour (PS3.5 8.2.4), bits, and no embedded overlays."""
    inside = overlays_in(metadata)
    told = {tag: element for tag, element in metadata.items() if tag not in inside}
    if _HIGH in told and pixel.low:
        told[_HIGH] = {"vr": "US", "Value": [pixel.stored - 1]}
    if pixel.samples > 1:
        told[_PLANAR] = {"vr": "US", "Value": [0]}
    if pixel.samples > 1 and pixel.photometric != "YBR_FULL":
        form = "YBR_RCT" if syntax == HTJ2K_RPCL else "RGB"
        told[_PHOTOMETRIC] = {"vr": "CS", "Value": [form]}
    return dict(sorted(told.items()))


def overlays_in(metadata: Json) -> set[str]:
    """Returns the tags of overlays in unused bits of the pixels, which encoding drops."""
    groups = {tag[:4] for tag in metadata if tag[:2] == "60" and tag[4:] == _OVERLAY_BITS}
    inside = {group for group in groups if whole_of(metadata, group + _OVERLAY_BITS) > 1}
    return {tag for tag in metadata if tag[:4] in inside and f"{tag[:4]}{_OVERLAY_DATA}" not in metadata}
