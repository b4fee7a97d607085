"""Alembic's environment: the connection is handed in, within a transaction of ours."""

from alembic import context

from subca_oversight.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
