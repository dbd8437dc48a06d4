"""where phrasings came from, and where those without a place had theirs

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op


revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('kb_phrasings', schema=None) as batch_op:
        batch_op.add_column(sa.Column('copied_from', sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column('touched', sa.Boolean(), server_default=sa.text('false'), nullable=False))
        batch_op.add_column(sa.Column('lost_document', sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column('lost_version', sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('kb_phrasings', schema=None) as batch_op:
        batch_op.drop_column('lost_version')
        batch_op.drop_column('lost_document')
        batch_op.drop_column('touched')
        batch_op.drop_column('copied_from')
