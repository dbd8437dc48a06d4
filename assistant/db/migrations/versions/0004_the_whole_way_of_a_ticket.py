"""the whole way of a ticket

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

import assistant.db.models


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('api_clients',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('key_hash', sa.String(length=64), nullable=False),
    sa.Column('trusted', sa.Boolean(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('created_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key_hash'),
    sa.UniqueConstraint('name')
    )
    op.create_table('routing_proposals',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('key', sa.String(length=160), nullable=False),
    sa.Column('change', sa.JSON(), nullable=False),
    sa.Column('numbers', sa.JSON(), nullable=False),
    sa.Column('report', sa.JSON(), nullable=True),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('created_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.Column('decided_by', sa.String(length=40), nullable=True),
    sa.Column('decided_at', assistant.db.models.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key')
    )
    op.create_table('routing_revision',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('ticket_counter',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('last', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('ticket_days',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('base', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('day')
    )
    op.create_table('webhook_receipts',
    sa.Column('destination', sa.String(length=40), nullable=False),
    sa.Column('delivery_id', sa.String(length=120), nullable=False),
    sa.Column('body_hash', sa.String(length=64), nullable=False),
    sa.Column('received_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('destination', 'delivery_id')
    )
    with op.batch_alter_table('webhook_receipts', schema=None) as batch_op:
        batch_op.create_index('ix_webhook_receipts_received', ['received_at'], unique=False)

    op.create_table('ticket_place_keys',
    sa.Column('key', sa.String(length=80), nullable=False),
    sa.Column('number', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['number'], ['tickets.number'], ),
    sa.PrimaryKeyConstraint('key', 'number')
    )
    with op.batch_alter_table('ticket_place_keys', schema=None) as batch_op:
        batch_op.create_index('ix_ticket_place_keys_number', ['number'], unique=False)

    if op.get_bind().dialect.name == 'postgresql':
        op.execute(sa.schema.CreateSequence(sa.Sequence('ticket_numbers')))
    # Numbers counted per district before: the new count, over the whole city, goes on above the highest of the day.
    op.execute('INSERT INTO ticket_days (day, base) SELECT day, -MAX(last) FROM ticket_sequences GROUP BY day')
    op.drop_table('ticket_sequences')
    with op.batch_alter_table('ticket_events', schema=None) as batch_op:
        batch_op.add_column(sa.Column('evidence', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('changes', sa.JSON(), nullable=True))
        batch_op.create_index('ix_ticket_events_operation', ['operation', 'at'], unique=False)
    op.execute("UPDATE ticket_events SET operation = 'acknowledge' WHERE operation = 'accept'")

    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.create_index('ix_outbox_remote', ['remote_id'], unique=False)

    with op.batch_alter_table('tickets', schema=None) as batch_op:
        batch_op.add_column(sa.Column('category3', sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column('elements', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('attachments', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('destination', sa.String(length=40), nullable=False, server_default='desk'))
        batch_op.add_column(sa.Column('paused_at', assistant.db.models.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('handler_until', assistant.db.models.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('next_step_at', assistant.db.models.UtcDateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('merged_into', sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column('solved', sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column('satisfied', sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column('callback_comment', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('embedding', sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column('encoder', sa.String(length=64), nullable=True))
        batch_op.create_index('ix_tickets_merged_into', ['merged_into'], unique=False)
        batch_op.create_index('ix_tickets_next_step', ['next_step_at'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.drop_index('ix_outbox_remote')

    with op.batch_alter_table('tickets', schema=None) as batch_op:
        batch_op.drop_index('ix_tickets_next_step')
        batch_op.drop_index('ix_tickets_merged_into')
        batch_op.drop_column('encoder')
        batch_op.drop_column('embedding')
        batch_op.drop_column('callback_comment')
        batch_op.drop_column('satisfied')
        batch_op.drop_column('solved')
        batch_op.drop_column('merged_into')
        batch_op.drop_column('next_step_at')
        batch_op.drop_column('handler_until')
        batch_op.drop_column('paused_at')
        batch_op.drop_column('destination')
        batch_op.drop_column('attachments')
        batch_op.drop_column('elements')
        batch_op.drop_column('category3')

    op.execute("UPDATE ticket_events SET operation = 'accept' WHERE operation = 'acknowledge'")
    with op.batch_alter_table('ticket_events', schema=None) as batch_op:
        batch_op.drop_index('ix_ticket_events_operation')
        batch_op.drop_column('changes')
        batch_op.drop_column('evidence')

    op.create_table('ticket_sequences',
    sa.Column('day', sa.DATE(), nullable=False),
    sa.Column('district', sa.VARCHAR(length=12), nullable=False),
    sa.Column('last', sa.INTEGER(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'district')
    )
    with op.batch_alter_table('ticket_place_keys', schema=None) as batch_op:
        batch_op.drop_index('ix_ticket_place_keys_number')

    op.drop_table('ticket_place_keys')
    with op.batch_alter_table('webhook_receipts', schema=None) as batch_op:
        batch_op.drop_index('ix_webhook_receipts_received')

    op.drop_table('webhook_receipts')
    op.drop_table('ticket_days')
    if op.get_bind().dialect.name == 'postgresql':
        op.execute(sa.schema.DropSequence(sa.Sequence('ticket_numbers')))
    op.drop_table('ticket_counter')
    op.drop_table('routing_revision')
    op.drop_table('routing_proposals')
    op.drop_table('api_clients')
