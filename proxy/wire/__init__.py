"""What is on the wire: resource paths, media types, ranges, multipart, DICOM JSON. Pure."""
