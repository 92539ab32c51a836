"""The assembled service: its life span, its listeners, and its HTTP/1.1 protocol."""
