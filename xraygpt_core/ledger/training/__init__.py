"""Training runs, and which bundle is served."""
