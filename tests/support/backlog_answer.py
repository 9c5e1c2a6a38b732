"""What the gateway says of a backlog that is being listed."""

NOW = {"state": "listing", "listed": 10, "registered": 9, "summarised": 4, "rejected": 1, "dead": 0, "cancelled": 0}
