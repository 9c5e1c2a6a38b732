"""The paper's order: the medical LLM, stage 1, stage 2."""
