"""Reads DICOM files and writes static DICOMweb trees; also reads single frames from files."""
