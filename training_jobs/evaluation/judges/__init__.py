"""Language models that judge a text against its reference: GREEN, CRIMSON, and which of two texts fits better."""
