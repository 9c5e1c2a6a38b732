"""HTTP in front of the ledger: parse, one call into xraygpt_core, translate the answer."""
