"""Tuning the language model on dialogues: readers, keyword lists, samples with masks, weights in and out."""
