"""Reads HTJ2K codestreams: their headers, where resolutions end, and if all bytes are there. Pure."""
