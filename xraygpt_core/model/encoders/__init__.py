"""The published image encoders, one file each, and what they share: how a picture becomes their input."""
