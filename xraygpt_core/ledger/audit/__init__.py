"""The audit: one row per act, sealed into a chain that shows later changes."""
