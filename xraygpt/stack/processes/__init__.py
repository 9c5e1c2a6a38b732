"""The stack's processes: one child, what restarts it, the supervisor of all, and the launcher outside of it."""
