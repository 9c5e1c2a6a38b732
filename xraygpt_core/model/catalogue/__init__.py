"""Published models: what there is, what it needs and under which licence, and how it gets onto this machine."""
