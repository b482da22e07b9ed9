"""Judging event by event: rank from what was known just before each event, then let the event be known."""
