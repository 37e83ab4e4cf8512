"""Operations and their steps, the inbox, the outbox, and the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "operation",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False, index=True),
        sa.Column("cloud", sa.String(200), nullable=False),
        sa.Column("target", sa.String(255), nullable=False),
        sa.Column("active_key", sa.String(500), unique=True),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("requester", sa.String(200), nullable=False),
        sa.Column("state", sa.Text, nullable=False, index=True),
        sa.Column("intent", sa.Text, nullable=False),
        sa.Column("intent_options", sa.JSON, nullable=False),
        sa.Column("intent_serial", sa.Integer, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("memo", sa.JSON, nullable=False),
        sa.Column("resuming", sa.Boolean, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("next_at", sa.DateTime, index=True),
        sa.Column("lease_token", sa.String(64)),
        sa.Column("lease_until", sa.DateTime),
    )
    op.create_table(
        "step",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("operation_id", sa.String(64), sa.ForeignKey("operation.id"), nullable=False, index=True),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("to", sa.String(255)),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("not_before", sa.DateTime),
        sa.Column("started_at", sa.DateTime),
        sa.Column("finished_at", sa.DateTime),
        sa.UniqueConstraint("operation_id", "subject"),
    )
    op.create_table(
        "inbox",
        sa.Column("source", sa.String(500), primary_key=True),
        sa.Column("id", sa.String(500), primary_key=True),
        sa.Column("type", sa.String(200), nullable=False),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("operation_id", sa.String(64)),
        sa.Column("reply", sa.JSON),
    )
    op.create_table(
        "outbox",
        sa.Column("serial", sa.Integer, primary_key=True),
        sa.Column("event", sa.JSON, nullable=False),
        sa.Column("operation_id", sa.String(64), index=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("sent_at", sa.DateTime),
        sa.Column("sent_by", sa.String(16), nullable=False),
    )
    op.create_index("ix_outbox_waiting", "outbox", ["sent_at", "serial"])
    op.create_table(
        "audit",
        sa.Column("serial", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("operation_id", sa.String(64), index=True),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("event", sa.String(1001), nullable=False),
        sa.Column("act", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("before", sa.JSON, nullable=False),
        sa.Column("after", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for table in ("audit", "outbox", "inbox", "step", "operation"):
        op.drop_table(table)
