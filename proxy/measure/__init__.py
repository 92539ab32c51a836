"""What a viewer would have waited: a shaped link, a measuring viewer, and the table of the results."""
