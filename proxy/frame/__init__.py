"""The values that a frame consists of: its key, its identity, its bytes, and its suppliers' contract."""
