"""keeping the knowledge base true

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

import assistant.db.models


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('kb_cases',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('question', sa.String(length=500), nullable=False),
    sa.Column('document_id', sa.String(length=64), nullable=True),
    sa.Column('article', sa.String(length=120), nullable=True),
    sa.Column('created_by', sa.String(length=40), nullable=False),
    sa.Column('created_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('question')
    )
    op.create_table('kb_feedback',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('key', sa.String(length=160), nullable=False),
    sa.Column('document_id', sa.String(length=64), nullable=False),
    sa.Column('article', sa.String(length=120), nullable=True),
    sa.Column('verdict', sa.String(length=10), nullable=False),
    sa.Column('comment', sa.Text(), nullable=True),
    sa.Column('source', sa.String(length=10), nullable=False),
    sa.Column('created_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key')
    )
    with op.batch_alter_table('kb_feedback', schema=None) as batch_op:
        batch_op.create_index('ix_kb_feedback_document', ['document_id'], unique=False)

    op.create_table('kb_findings',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('key', sa.String(length=160), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('documents', sa.JSON(), nullable=False),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.Column('owner', sa.String(length=80), nullable=True),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('found_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.Column('seen_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.Column('changed_by', sa.String(length=40), nullable=True),
    sa.Column('changed_at', assistant.db.models.UtcDateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key')
    )
    with op.batch_alter_table('kb_findings', schema=None) as batch_op:
        batch_op.create_index('ix_kb_findings_state', ['state', 'kind'], unique=False)

    op.create_table('kb_hits',
    sa.Column('document_id', sa.String(length=64), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('document_id', 'day')
    )
    op.create_table('kb_unanswered',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('question', sa.String(length=500), nullable=False),
    sa.Column('embedding', sa.LargeBinary(), nullable=False),
    sa.Column('encoder', sa.String(length=64), nullable=False),
    sa.Column('asked_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('kb_unanswered', schema=None) as batch_op:
        batch_op.create_index('ix_kb_unanswered_asked', ['asked_at'], unique=False)

    op.create_table('kb_versions',
    sa.Column('document_id', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('fields', sa.JSON(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('changed_by', sa.String(length=40), nullable=True),
    sa.Column('changed_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['document_id'], ['kb_documents.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('document_id', 'version')
    )
    with op.batch_alter_table('kb_documents', schema=None) as batch_op:
        batch_op.add_column(sa.Column('superseded_by', sa.String(length=64), nullable=True))



def downgrade() -> None:
    with op.batch_alter_table('kb_documents', schema=None) as batch_op:
        batch_op.drop_column('superseded_by')

    op.drop_table('kb_versions')
    with op.batch_alter_table('kb_unanswered', schema=None) as batch_op:
        batch_op.drop_index('ix_kb_unanswered_asked')

    op.drop_table('kb_unanswered')
    op.drop_table('kb_hits')
    with op.batch_alter_table('kb_findings', schema=None) as batch_op:
        batch_op.drop_index('ix_kb_findings_state')

    op.drop_table('kb_findings')
    with op.batch_alter_table('kb_feedback', schema=None) as batch_op:
        batch_op.drop_index('ix_kb_feedback_document')

    op.drop_table('kb_feedback')
    op.drop_table('kb_cases')
