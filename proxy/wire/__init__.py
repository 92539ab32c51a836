"""Reads and writes HTTP and DICOMweb syntax: paths, media types, ranges, multipart, DICOM JSON. Pure."""
