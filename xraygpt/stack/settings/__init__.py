"""What the stack of a data directory remembers: keys, certificates, passwords; and what each process is given."""
