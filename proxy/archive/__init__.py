"""Writes a static DICOMweb tree. Only `cli` and the tests import it."""
