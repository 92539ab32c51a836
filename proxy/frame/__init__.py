"""Values that describe a frame: its key, its identity, its bytes, and requests to its supplier."""
