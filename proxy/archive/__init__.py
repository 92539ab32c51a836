"""Static DICOMweb trees: DICOM files read, trees written, single frames read back."""
