"""Access to the system: API keys, browser sessions, and idempotent requests."""
