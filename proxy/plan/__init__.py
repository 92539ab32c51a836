"""Decides what to fetch for a series and in which order: profiles, stages and the plan. Pure."""
