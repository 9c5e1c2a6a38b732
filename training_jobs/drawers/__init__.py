"""What is drawn and not taken: sketches, augmentation, pictures that are no chest, and the words for a drawn truth."""
