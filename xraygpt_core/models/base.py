"""The metadata all tables share, and the columns they have in common."""

from sqlalchemy import ARRAY, Column, DateTime, MetaData, Text, func, text
from sqlalchemy.dialects.postgresql import UUID

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# The last digits of an id, by which people name a row: five of them stand in an index.
tail_of_id = text("right(CAST(id AS text), 5)")


def id_column() -> Column[object]:
    return Column("id", UUID, primary_key=True)


def moment(name: str, *, now: bool = False) -> Column[object]:
    default = func.clock_timestamp() if now else None
    return Column(name, DateTime(timezone=True), nullable=not now, server_default=default)


def flags_column() -> Column[object]:
    return Column("flags", ARRAY(Text), nullable=False, server_default=text("'{}'"))
