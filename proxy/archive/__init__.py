"""Static DICOMweb trees: written, and single frames read. Only the commands and the tests import it."""
