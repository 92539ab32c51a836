"""What to fetch, and in which order: profiles and their stages. Pure; the stock profiles lie in `stock/`."""
