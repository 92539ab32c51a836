"""Decides who may ask for what: hosts and pages that are let in, and the credentials that prove a caller."""
