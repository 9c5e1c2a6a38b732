"""Who may use the system: API keys, browser sessions, and requests that have their effect once."""
