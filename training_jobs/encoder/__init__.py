"""Stage 0: an image encoder learns what films show, from labels and texts, before it is frozen."""
