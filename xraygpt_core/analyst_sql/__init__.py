"""SQL over the views by analysts: one read-only statement in a process of its own, limited in time and size."""
