"""Where Alembic begins: on the store's own connection, which holds the lock and the transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
