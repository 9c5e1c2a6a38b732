"""From a mixture to a corpus on this machine: read and checked, drawn and normalised, encoded, shard by shard."""
