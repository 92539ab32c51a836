"""Fetches in progress, each read by many, and the table of them. `retrieve` and `app` import it."""
