"""The stack's processes: one child, which programs there are, and what restarts them."""
