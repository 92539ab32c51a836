"""Suppliers that make alternates and rendered pictures of a frame instead of fetching them."""
