"""Selects the DICOM attributes of a demo image: those that the picture needs, and none about a person.

Attributes are copied by name, so an attribute that nobody listed is left out.
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
"""Keywords of the attributes that are copied from the source."""

_EMPTY = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate",
    "PatientSex", "StudyID",
)  # fmt: skip


def uid_of(*names: str) -> UID:
    """Returns a UID that depends only on the names, on every machine."""
    return generate_uid(entropy_srcs=["/".join(("progressive-proxy demo", *names))])


def neutral(source: Dataset, name: str, title: str) -> Dataset:
    """Returns the attributes of a study's only instance: UIDs from `name`, description from `title`."""
    dataset = Dataset()
    for keyword in KEPT:
        if keyword in source:
            dataset[keyword] = source[keyword]
    if not any(dataset.get("PixelSpacing", (1.0,))):
        del dataset.PixelSpacing  # a spacing of 0 is invalid (PS3.3 10.7.1.3)
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
    """Makes a dataset the instance with that number, 1-based, in its series."""
    dataset.SOPInstanceUID = uid_of(name, "instance", str(instance_number))
    dataset.InstanceNumber = instance_number


def mark_synthetic(dataset: Dataset, how: str) -> None:
    """Records that the pixels are synthetic, and how they were made; the title says so already."""
    dataset.ImageType = ["DERIVED", "SECONDARY"]  # PS3.3 C.7.6.1.1.2
    dataset.DerivationDescription = how
    dataset.PatientName = f"Synthetic^{dataset.PatientID}"
