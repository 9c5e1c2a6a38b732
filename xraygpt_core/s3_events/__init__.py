"""Bucket events of every dialect, read as hints: an object may be there, or may be gone.

An event is never the truth (S3 delivers at least once, in no order, and sometimes not at all): the bucket is. So the
parsers are strict about shape and generous about the rest. A file per dialect: ``records`` (Amazon S3, MinIO, RustFS),
``eventbridge``, ``seaweedfs``; ``sns`` checks that an SNS message is genuine; ``parse`` opens the envelopes.
"""

from xraygpt_core.s3_events.hints import MAX_HINTS, Events, ObjectHint
from xraygpt_core.s3_events.parse import MAX_BYTES, parse_events

__all__ = ["MAX_BYTES", "MAX_HINTS", "Events", "ObjectHint", "parse_events"]
