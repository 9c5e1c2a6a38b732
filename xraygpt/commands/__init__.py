"""One module per group of commands. A command parses, makes one call, and shows the answer."""
