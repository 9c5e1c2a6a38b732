"""Lists that people choose studies from: their orders, filters and counts; who reads a study now, and whose it is."""
