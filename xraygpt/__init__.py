"""The command people type, and the one-machine stack: an HTTP client and a process supervisor, no rules of its own."""
