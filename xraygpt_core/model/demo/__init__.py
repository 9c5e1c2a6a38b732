"""The demo bundle's own weights: a projector and an LLM adapter made by our training jobs (docs/model-card.md)."""
