"""Measures how long a viewer waits: a shaped link, a measuring viewer, and the table of results."""
