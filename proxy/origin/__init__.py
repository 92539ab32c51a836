"""One request to one origin, with its response checked and bounded."""
