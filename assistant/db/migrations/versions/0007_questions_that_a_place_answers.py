"""questions that a place of a document answers

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

import assistant.db.models


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('kb_phrasings',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('document_id', sa.String(length=64), nullable=False),
    sa.Column('label', sa.String(length=120), nullable=True),
    sa.Column('text', sa.String(length=500), nullable=False),
    sa.Column('source', sa.String(length=12), nullable=False),
    sa.Column('actor', sa.String(length=40), nullable=False),
    sa.Column('created_at', assistant.db.models.UtcDateTime(timezone=True), nullable=False),
    sa.Column('embedding', sa.LargeBinary(), nullable=False),
    sa.Column('encoder', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['document_id'], ['kb_documents.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('kb_phrasings', schema=None) as batch_op:
        batch_op.create_index('ix_kb_phrasings_document', ['document_id'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('kb_phrasings', schema=None) as batch_op:
        batch_op.drop_index('ix_kb_phrasings_document')

    op.drop_table('kb_phrasings')
