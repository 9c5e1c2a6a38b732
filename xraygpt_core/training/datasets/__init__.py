"""Readers of sets of (image, text) pairs, what they object to, and who is kept back. No torch, no database."""
