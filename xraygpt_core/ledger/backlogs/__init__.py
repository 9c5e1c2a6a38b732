"""Backlogs: a whole prefix of the bucket as one piece of work."""
