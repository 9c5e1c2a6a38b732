"""What leads from a hospital's number to a film, and back where an installation wants that; and sealed words."""

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from xraygpt_core.models.base import metadata, moment

# The pseudonyms (study, patient, accession) in the header of a film that was rejected while it was read: its study has
# none, for nothing of it was accepted. One pseudonym never stands for two kinds of thing.
rejected_names = Table(
    "rejected_names",
    metadata,
    Column("pseudonym", Text, primary_key=True),
    Column("image_id", UUID, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "image_id"),
)

# Boxes in base64 (xraygpt_core/sealing.py); empty unless XRAYGPT_SEALED_NUMBERS is true.
sealed_numbers = Table(
    "sealed_numbers",
    metadata,
    Column("image_id", UUID, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("key_fingerprint", Text, nullable=False),
)

# What requests say of a film, in boxes (xraygpt_core/clinical_sealing.py); the newest of an image counts. Empty unless
# XRAYGPT_CLINICAL_TEXT is true. ``revision``: of the study, where the words came when the film was read already.
request_words = Table(
    "request_words",
    metadata,
    Column("image_id", UUID, ForeignKey("images.id", ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("box", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="0"),
    moment("at", now=True),
)
