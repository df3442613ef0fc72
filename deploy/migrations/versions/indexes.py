"""Rows are found by time and by answer without reading them all."""

from alembic import op

revision, down_revision = "2", "1"


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("ix_answers_time", "answers", ["time"])
    op.create_index("ix_feedback_time", "feedback", ["time"])
    op.create_index("ix_feedback_answer_id", "feedback", ["answer_id"])
