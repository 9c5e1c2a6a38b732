"""What the stack of a data directory remembers, and what each of its processes is given."""
