"""vLLM as the second backend."""
