"""Access control: the hosts and pages that are let in, and the credentials of a caller."""
