"""Turning downloaded files into a bundle: one file for each kind of thing that is imported.

Every file is judged before it is used: nothing is executed, every tensor is used or named, and what does not fit is
refused with one sentence.
"""
