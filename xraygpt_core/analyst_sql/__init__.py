"""SQL by people who may read the views: one read-only statement in a process of its own, limited in time and size."""
