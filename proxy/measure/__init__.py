"""What a viewer would have waited: a shaped link, a measuring viewer, the table. Only `cli` imports it."""
