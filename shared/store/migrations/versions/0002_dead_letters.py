"""Dead letters, and what finds old rows of the inbox quickly."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("source", sa.String(500), nullable=False),
        sa.Column("event_id", sa.String(500), nullable=False),
        sa.Column("type", sa.String(200), nullable=False),
        sa.Column("subject", sa.String(500)),
        sa.Column("event", sa.JSON),
        sa.Column("first_at", sa.DateTime, nullable=False, index=True),
        sa.Column("last_at", sa.DateTime, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("code", sa.Integer),
        sa.Column("destination", sa.String(500), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("hindrance", sa.Text, nullable=False),
        sa.Column("good_until", sa.DateTime, nullable=False),
        sa.Column("replayed_at", sa.DateTime),
        sa.Column("replayed_by", sa.String(64)),
    )
    op.create_index("ix_dead_letter_waiting", "dead_letter", ["replayed_at", "last_at"])
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"])


def downgrade() -> None:
    op.drop_index("ix_inbox_received_at", "inbox")
    op.drop_table("dead_letter")
