"""What to fetch for a series and in which order: profiles, their stages, and the plan. Pure."""
