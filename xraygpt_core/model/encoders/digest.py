"""What the features of an encoder depend on, as one hash: runs and workers whose hashes are equal share features."""

import hashlib
import json

from xraygpt_core.model.bundle import Bundle

BATCH = 32  # images on the device at once: some ten milliseconds of a GPU
# Twelve times the disk and memory of one map, for a projector that no training of ours makes.
STACKED = "the encoder gives what each of its layers makes, which no training takes: start from another bundle"
VERSION = 1  # raise when preprocessing or the layout of features changes


def encoder_digest(bundle: Bundle) -> str:
    """SHA-256 over class, options, weights and the version of our preprocessing, as hex."""
    weights = bundle.files[str(bundle.encoder_weights.relative_to(bundle.path))]
    told = json.dumps([bundle.encoder, dict(bundle.encoder_options), weights, VERSION], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
