"""API keys with their roles, the sessions that a key or a login opens for a browser, and what people chose."""

from sqlalchemy import ARRAY, Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from xraygpt_core.models.base import id_column, metadata, moment
from xraygpt_core.states import Role

_KNOWN_ROLES = f"roles <@ ARRAY[{', '.join(repr(role.value) for role in Role)}] AND cardinality(roles) > 0"

api_keys = Table(
    "api_keys",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="person"),
    Column("sha256", Text, nullable=False, unique=True),
    Column("roles", ARRAY(Text), nullable=False),
    # Whether it may ask for the lane `stat`; readers in charge and operators may without.
    Column("stat", Boolean, nullable=False, server_default="false"),
    Column("owner", Text),
    moment("created_at", now=True),
    moment("expires_at"),
    # To the minute.
    moment("last_used_at"),
    # The key that was made in its place; both are valid until this one expires.
    Column("replaced_by", UUID, ForeignKey("api_keys.id")),
    moment("revoked_at"),
    CheckConstraint(_KNOWN_ROLES, name="known_roles"),
    Index("ix_api_keys_name", "name", unique=True, postgresql_where=text("revoked_at IS NULL AND replaced_by IS NULL")),
)

sessions = Table(
    "sessions",
    metadata,
    id_column(),
    Column("token_sha256", Text, nullable=False, unique=True),
    Column("person", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("stat", Boolean, nullable=False, server_default="false"),
    # What opened it: `key`, or the login that knows the person.
    Column("how", Text, nullable=False),
    # It ends with this key; null where a login opened it.
    Column("key_id", UUID, ForeignKey("api_keys.id")),
    moment("opened_at", now=True),
    # To a twentieth of the idle timeout.
    moment("used_at", now=True),
    moment("ended_at"),
    CheckConstraint(_KNOWN_ROLES, name="known_roles"),
    Index("ix_sessions_opened_at", "opened_at"),
)

# How a person wants the pages; null: as the browser does.
preferences = Table(
    "preferences",
    metadata,
    Column("person", Text, primary_key=True),
    Column("language", Text),
    Column("theme", Text),
)
