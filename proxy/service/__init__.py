"""The assembled service: its lifespan, its listeners, and its HTTP/1.1 protocol."""
