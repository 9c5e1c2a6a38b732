"""What the frozen encoder makes of the images: made once, kept in shards, streamed in the order of a seed."""
