"""What is live now: bounded counts and neighbours that every event moves. In: events. Out: scores.

Below training and serving, so that what a replay judges is the very mathematics that is served.
"""
