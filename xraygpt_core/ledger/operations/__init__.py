"""What operators look at: how much work came and ended, which workers live, what waits for a person."""
