"""A vLLM server as the second backend: images are encoded and projected here, the server writes the text."""
