"""Reads HTJ2K codestreams: their headers, where resolutions end, and whether they are complete. Pure."""
