"""Runs migrations on the connection that ``migrations.upgrade`` opened."""

from alembic import context

from xraygpt_core.models import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
