"""Requests to one origin, with each response checked and bounded."""
