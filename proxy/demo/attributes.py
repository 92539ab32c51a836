"""The DICOM attributes of a demo image: what the picture needs from its source, and nothing of a person.

Attributes are taken over by name, so an attribute that nobody thought of stays behind.
"""

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

KEPT = (
    "ImageType", "SOPClassUID", "Modality", "PresentationIntentType", "BodyPartExamined", "ScanOptions",
    "KVP", "SliceThickness", "SpacingBetweenSlices", "PatientPosition", "ViewPosition",
    "PatientOrientation", "Laterality", "ImageLaterality", "ImagerPixelSpacing", "PixelSpacing",
    "ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "SamplesPerPixel",
    "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PixelIntensityRelationship",
    "PixelIntensityRelationshipSign", "BurnedInAnnotation", "WindowCenter", "WindowWidth",
    "RescaleIntercept", "RescaleSlope", "RescaleType", "PresentationLUTShape",
)  # fmt: skip
"""Keywords that are taken over from the source."""

_EMPTY = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate",
    "PatientSex", "StudyID",
)  # fmt: skip


def uid_of(*names: str) -> UID:
    """A UID that is the same for the same names, on every machine."""
    return generate_uid(entropy_srcs=["/".join(("progressive-proxy demo", *names))])


def neutral(source: Dataset, name: str, title: str) -> Dataset:
    """The attributes of the only instance of a study; `name` makes its UIDs, `title` describes it."""
    dataset = Dataset()
    for keyword in KEPT:
        if keyword in source:
            dataset[keyword] = source[keyword]
    if not any(dataset.get("PixelSpacing", (1.0,))):
        del dataset.PixelSpacing  # a spacing of 0 is none (PS3.3 10.7.1.3)
    for keyword in _EMPTY:
        setattr(dataset, keyword, "")
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = f"Demo^{name}"
    dataset.PatientID = f"demo-{name}"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "only attributes of the picture were kept"
    dataset.StudyDescription = dataset.SeriesDescription = title
    dataset.StudyInstanceUID = uid_of(name, "study")
    dataset.SeriesInstanceUID = uid_of(name, "series")
    dataset.SeriesNumber = 1
    if "ImagePositionPatient" in dataset:
        dataset.FrameOfReferenceUID = uid_of(name, "frame of reference")
        dataset.PositionReferenceIndicator = ""
    number(dataset, name, 1)
    return dataset


def number(dataset: Dataset, name: str, instance_number: int) -> None:
    """Makes a dataset that instance of its series, 1-based."""
    dataset.SOPInstanceUID = uid_of(name, "instance", str(instance_number))
    dataset.InstanceNumber = instance_number


def mark_synthetic(dataset: Dataset, how: str) -> None:
    """Says that the pixels were made, and how; its title says so already."""
    dataset.ImageType = ["DERIVED", "SECONDARY"]  # PS3.3 C.7.6.1.1.2
    dataset.DerivationDescription = how
    dataset.PatientName = f"Synthetic^{dataset.PatientID}"
