"""Jobs: units of work with a lease. What every kind of work shares."""
