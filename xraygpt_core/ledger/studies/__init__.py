"""Studies: from a registered object to a summary, and what people do with it."""
