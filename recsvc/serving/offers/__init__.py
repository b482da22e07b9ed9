"""Decide on offers. In: a subject, a request, the offers that are live. Out: a decision, and its list."""
