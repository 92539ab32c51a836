"""Suppliers that make a frame's other representations instead of fetching them."""
