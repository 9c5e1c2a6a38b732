"""Synthetic frontal chest radiographs of known truth. numpy and Pillow only."""
