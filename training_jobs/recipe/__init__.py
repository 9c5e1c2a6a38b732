"""The shipped bundle by one command: encoder, language model, projector, chest check, and what they are worth."""
