"""The model: bundles, encoder, projector, LLM and the engine that owns the device. torch lives here."""
