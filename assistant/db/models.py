"""Every table, on SQLAlchemy 2, the same on SQLite and PostgreSQL.

Times are UTC and zoned. Text that a resident wrote is stored with phone and identity-card numbers masked; the raw
values lie encrypted in a column named `private` or `*_encrypted`.
"""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcDateTime(TypeDecorator[datetime]):
    """A zoned time that comes back zoned on SQLite too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    return datetime.now(UTC)


Key = BigInteger().with_variant(Integer, "sqlite")


class Base(AsyncAttrs, DeclarativeBase):
    type_annotation_map = {datetime: UtcDateTime, date: Date, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


# --- conversations -------------------------------------------------------------------------------------------------


class Conversation(Base):
    """One resident's conversation. `state`: bot, waiting (for a person), agent (a person answers), closed."""

    __tablename__ = "conversations"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), default="web")
    channel_user: Mapped[str | None] = mapped_column(String(80))  # chat id in the channel, for push channels
    token_hash: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(10), default="bot")
    waiting_since: Mapped[datetime | None]
    waiting_reason: Mapped[str | None] = mapped_column(String(200))
    agent_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    engine_session: Mapped[int] = mapped_column(default=0)
    engine_turns: Mapped[int] = mapped_column(default=0)
    # Whoever holds the lease answers this conversation's messages, in order; it lapses by itself.
    lease_owner: Mapped[str | None] = mapped_column(String(40))
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)

    __table_args__ = (
        Index("ix_conversations_state", "state", "waiting_since"),
        UniqueConstraint("channel", "channel_user", name="uq_conversations_channel_user"),
    )


class Message(Base):
    """One message of the transcript. `sender`: resident, assistant, agent, system.

    `status` of a resident's message: received (stored, not answered yet), answered. `reply_to` of an answer: the
    resident's message it answers. `delivered_at` is set when a push channel has sent it.
    """

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    sender: Mapped[str] = mapped_column(String(10))
    text: Mapped[str] = mapped_column(Text)
    private: Mapped[bytes | None] = mapped_column(LargeBinary)
    client_message_id: Mapped[str | None] = mapped_column(String(80))
    text_hash: Mapped[str | None] = mapped_column(String(64))
    reply_to: Mapped[int | None] = mapped_column(Key)
    status: Mapped[str] = mapped_column(String(10), default="answered")
    buttons: Mapped[list[Any] | None]
    citations: Mapped[list[Any] | None]
    ticket: Mapped[dict[str, Any] | None]
    understanding: Mapped[dict[str, Any] | None]
    author: Mapped[str | None] = mapped_column(String(80))
    delivered_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (
        UniqueConstraint("conversation_id", "client_message_id", name="uq_messages_client_message_id"),
        Index("ix_messages_conversation", "conversation_id", "id"),
        Index("ix_messages_status", "status"),
    )


class PastReply(Base):
    """What a person answered to what question: material for suggested replies."""

    __tablename__ = "past_replies"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    question: Mapped[str] = mapped_column(Text)
    reply: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(20), default="agent")  # agent, city
    message_id: Mapped[int | None] = mapped_column(Key, unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


# --- staff ---------------------------------------------------------------------------------------------------------


class User(Base):
    """A member of staff. `roles`: any of agent, editor, dispatcher, admin."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    display_name: Mapped[str] = mapped_column(String(40))
    password_hash: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[Any]]
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    failed_logins: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class AuditEntry(Base):
    """Who did what to which object, and whether it succeeded. No personal data of residents."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(default=now)
    user: Mapped[str] = mapped_column(String(40))
    event: Mapped[str] = mapped_column(String(40))
    object: Mapped[str] = mapped_column(String(120))
    success: Mapped[bool] = mapped_column(Boolean)


# --- tickets -------------------------------------------------------------------------------------------------------


class Ticket(Base):
    """A work order. Requester fields are encrypted; everything else is masked text."""

    __tablename__ = "tickets"

    number: Mapped[str] = mapped_column(String(40), primary_key=True)
    request_key: Mapped[str] = mapped_column(String(120), unique=True)
    request_hash: Mapped[str] = mapped_column(String(64))
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"))
    channel: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    request_type: Mapped[str] = mapped_column(String(10))
    category1: Mapped[str] = mapped_column(String(40))
    category2: Mapped[str | None] = mapped_column(String(40))
    category3: Mapped[str | None] = mapped_column(String(40))  # the matter of the responsibility matrix
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text)
    elements: Mapped[dict[str, Any] | None]  # what its category asks for: element → the resident's words
    attachments: Mapped[list[Any] | None]
    place: Mapped[str | None] = mapped_column(String(400))
    grid_path: Mapped[list[Any] | None]
    lat: Mapped[float | None]
    long: Mapped[float | None]
    event_time: Mapped[str | None] = mapped_column(String(120))
    requester_encrypted: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_last4_hash: Mapped[str | None] = mapped_column(String(64))
    anonymous: Mapped[bool] = mapped_column(Boolean, default=False)
    confidential: Mapped[bool] = mapped_column(Boolean, default=False)
    urgency: Mapped[str] = mapped_column(String(10))
    lead_unit: Mapped[str | None] = mapped_column(String(80))
    assisting_units: Mapped[list[Any]]
    routing: Mapped[dict[str, Any]]  # reason, confidence, candidates, model version
    confidences: Mapped[dict[str, Any] | None]  # what the models were sure of
    other_matters: Mapped[list[Any] | None]  # what else the description speaks of
    judgement: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # the words that decided
    destination: Mapped[str] = mapped_column(String(40), default="desk")
    due_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]  # since when the clock stands, waiting for the resident
    handler_until: Mapped[datetime | None]  # a non-government handler has it first until then
    next_step_at: Mapped[datetime | None]  # when the timekeeper must look at it
    merged_into: Mapped[str | None] = mapped_column(String(40))
    solved: Mapped[bool | None]  # callback
    satisfied: Mapped[bool | None]
    callback_comment: Mapped[str | None] = mapped_column(Text)
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary)  # float16, little-endian, of `encoder`
    encoder: Mapped[str | None] = mapped_column(String(64))
    spot: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # the place taken apart
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    version: Mapped[int] = mapped_column(default=1)

    __table_args__ = (
        Index("ix_tickets_state", "state", "due_at"),
        Index("ix_tickets_conversation", "conversation_id"),
        Index("ix_tickets_created", "created_at"),
        Index("ix_tickets_next_step", "next_step_at"),
        Index("ix_tickets_merged_into", "merged_into"),
    )


class TicketPlaceKey(Base):
    """A name or number of the place of an open ticket, by which tickets of the same place are found."""

    __tablename__ = "ticket_place_keys"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    number: Mapped[str] = mapped_column(ForeignKey("tickets.number"), primary_key=True)

    __table_args__ = (Index("ix_ticket_place_keys_number", "number"),)


class TicketDay(Base):
    """The counter's value before the first ticket of a day: running number = counter - base."""

    __tablename__ = "ticket_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    base: Mapped[int] = mapped_column(BigInteger)


class TicketCounter(Base):
    """SQLite's stand-in (one row) for the sequence `ticket_numbers` that counts tickets on PostgreSQL."""

    __tablename__ = "ticket_counter"

    id: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)


ticket_numbers = Sequence("ticket_numbers", metadata=Base.metadata)


class TicketEvent(Base):
    """One step of a ticket's history; never changed. `key` makes a step happen once."""

    __tablename__ = "ticket_events"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    number: Mapped[str] = mapped_column(ForeignKey("tickets.number"))
    key: Mapped[str] = mapped_column(String(160), unique=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(80))
    operation: Mapped[str] = mapped_column(String(20))
    from_state: Mapped[str | None] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    reason_code: Mapped[str | None] = mapped_column(String(20))
    note: Mapped[str | None] = mapped_column(Text)  # internal
    public_reply: Mapped[str | None] = mapped_column(Text)  # told to the resident
    evidence: Mapped[list[Any] | None]  # what proves it: names or addresses of pictures and documents
    changes: Mapped[dict[str, Any] | None]  # field → new value, so that the history gives the ticket again

    __table_args__ = (
        Index("ix_ticket_events_number", "number", "id"),
        Index("ix_ticket_events_operation", "operation", "at"),
    )


class OutboxRow(Base):
    """Something to send to a destination, written in the transaction that caused it.

    `state`: pending, sending (claimed until `claimed_until`), sent, dead.
    """

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)
    ticket_number: Mapped[str] = mapped_column(ForeignKey("tickets.number"))
    destination: Mapped[str] = mapped_column(String(40))
    operation: Mapped[str] = mapped_column(String(20))
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(10), default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(default=now)
    claimed_by: Mapped[str | None] = mapped_column(String(40))
    claimed_until: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(String(400))
    remote_id: Mapped[str | None] = mapped_column(String(80))
    remote_state: Mapped[str | None] = mapped_column(String(40))
    remote_updated_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    sent_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_outbox_due", "state", "next_attempt_at"),
        Index("ix_outbox_next", "destination", "state", "next_attempt_at", "id"),
        Index("ix_outbox_ticket", "ticket_number"),
        Index("ix_outbox_remote", "remote_id"),
    )


class DeskRequest(Base):
    """A request in the built-in dispatch desk: the other side of the wire, which knows nothing of our tickets."""

    __tablename__ = "desk_requests"

    service_request_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    idempotency_key: Mapped[str | None] = mapped_column(String(160), unique=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    jurisdiction_id: Mapped[str | None] = mapped_column(String(80))
    service_code: Mapped[str] = mapped_column(String(80))
    description: Mapped[str] = mapped_column(Text)
    address: Mapped[str | None] = mapped_column(String(400))
    lat: Mapped[float | None]
    long: Mapped[float | None]
    attributes: Mapped[dict[str, Any]]
    agency_responsible: Mapped[str | None] = mapped_column(String(80))
    desk_state: Mapped[str] = mapped_column(String(20))  # received, accepted, resolved, returned, withdrawn
    status_notes: Mapped[str | None] = mapped_column(Text)
    reason_code: Mapped[str | None] = mapped_column(String(20))
    notes: Mapped[list[Any]]  # supplements and reminders received later
    requested_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    expected_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_desk_requests_requested", "requested_at"),)


class WebhookReceipt(Base):
    """A signed delivery that was taken in once; the same one again changes nothing."""

    __tablename__ = "webhook_receipts"

    destination: Mapped[str] = mapped_column(String(40), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(String(120), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_webhook_receipts_received", "received_at"),)


class ApiClient(Base):
    """A third party that may file requests over Open311. Requests of one that is not trusted wait for an agent."""

    __tablename__ = "api_clients"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    trusted: Mapped[bool] = mapped_column(Boolean, default=False)
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class RoutingProposal(Base):
    """A change of the matrix that returned tickets suggest. `state`: 待试, 已试, 已启用, 已驳回, 已停用.

    `change`: kind (words, rule) and what of it; `numbers`: the tickets it comes from; `report`: the replay on the
    frozen test set before and after.
    """

    __tablename__ = "routing_proposals"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)
    change: Mapped[dict[str, Any]]
    numbers: Mapped[list[Any]]
    report: Mapped[dict[str, Any] | None]
    state: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(default=now)
    decided_by: Mapped[str | None] = mapped_column(String(40))
    decided_at: Mapped[datetime | None]


class RoutingRevision(Base):
    """One row that counts changes of the proposals in use, so that every process knows when to load them again."""

    __tablename__ = "routing_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=0)


# --- knowledge base ------------------------------------------------------------------------------------------------


class KbDocument(Base):
    """A policy document. `status`: draft, published, suspended, expired, superseded."""

    __tablename__ = "kb_documents"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[str] = mapped_column(String(300))
    issuer: Mapped[str | None] = mapped_column(String(120))
    document_number: Mapped[str | None] = mapped_column(String(120))
    legal_basis: Mapped[str | None] = mapped_column(Text)
    region: Mapped[str | None] = mapped_column(String(80))
    audience: Mapped[str | None] = mapped_column(String(120))
    category: Mapped[str | None] = mapped_column(String(80))
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]  # the last day on which it is in force
    status: Mapped[str] = mapped_column(String(12), default="draft")
    superseded_by: Mapped[str | None] = mapped_column(String(64))
    source_url: Mapped[str | None] = mapped_column(String(500))
    owner: Mapped[str | None] = mapped_column(String(80))
    content_hash: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)

    __table_args__ = (Index("ix_kb_documents_status", "status"),)


class KbPassage(Base):
    """A piece of a document that is searched and cited. `embedding`: float32, little-endian, of `encoder`."""

    __tablename__ = "kb_passages"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("kb_documents.id", ondelete="CASCADE"))
    ordinal: Mapped[int]
    article: Mapped[str | None] = mapped_column(String(120))
    text: Mapped[str] = mapped_column(Text)
    embedding: Mapped[bytes | None] = mapped_column(LargeBinary)
    encoder: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (UniqueConstraint("document_id", "ordinal", name="uq_kb_passages_ordinal"),)


class KbRevision(Base):
    """Counts changes, so that every process knows when to reload its index. `id`: 1 for anything of the knowledge base,
    2 for its phrasings.
    """

    __tablename__ = "kb_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=0)


# --- what staff taught ---------------------------------------------------------------------------------------------


class Addition(Base):
    """A category or an intent that staff added. `kind`: category, intent. `state`: 试训, 已启用, 已停用.

    `learned`: the rows of the head (`nlu.extend.to_bytes`), good for `model_version` and `encoder_id` only.
    """

    __tablename__ = "additions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str] = mapped_column(String(40))
    level1: Mapped[str | None] = mapped_column(String(40))
    code: Mapped[str | None] = mapped_column(String(80))
    unit: Mapped[str | None] = mapped_column(String(80))
    reply: Mapped[str | None] = mapped_column(Text)
    examples: Mapped[list[Any]]
    learned: Mapped[bytes] = mapped_column(LargeBinary)
    model_version: Mapped[str] = mapped_column(String(80))
    encoder_id: Mapped[str] = mapped_column(String(80))
    report: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(10))
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now)
    changed_by: Mapped[str] = mapped_column(String(40))
    changed_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (UniqueConstraint("kind", "name", name="uq_additions_name"),)


class AdditionRevision(Base):
    """One row that counts changes of the additions in use, so that every process knows when to load them again."""

    __tablename__ = "additions_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(default=0)


class KbVersion(Base):
    """A document as it was in one version, with its whole text; never changed."""

    __tablename__ = "kb_versions"

    document_id: Mapped[str] = mapped_column(ForeignKey("kb_documents.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    fields: Mapped[dict[str, Any]]
    text: Mapped[str] = mapped_column(Text)
    changed_by: Mapped[str | None] = mapped_column(String(40))
    changed_at: Mapped[datetime] = mapped_column(default=now)


class KbCase(Base):
    """A question whose answer must stay right. `document_id` None: the base must say that it does not know."""

    __tablename__ = "kb_cases"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    question: Mapped[str] = mapped_column(String(500), unique=True)
    document_id: Mapped[str | None] = mapped_column(String(64))
    article: Mapped[str | None] = mapped_column(String(120))
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now)


class KbPhrasing(Base):
    """A question (masked) that a place of a document answers; it stays with the document from version to version.

    `label`: the place, with all headings above it (`kb.places`); None: the whole document. `source`: staff, import,
    unanswered, hit_test, or removed: an imported one that staff have deleted, of which only a hash is left, so that the
    next start does not bring it back. `embedding`: float16, little-endian, of `encoder`.

    `copied_from`: the superseded document it came from; None for the document's own. `touched`: whether somebody has
    put that copy elsewhere, or wanted it here, since. `lost_document`, `lost_version`: of one whose place is gone, the
    text that had it last, under the name in `label`.
    """

    __tablename__ = "kb_phrasings"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    document_id: Mapped[str] = mapped_column(ForeignKey("kb_documents.id", ondelete="CASCADE"))
    label: Mapped[str | None] = mapped_column(String(120))
    text: Mapped[str] = mapped_column(String(500))
    source: Mapped[str] = mapped_column(String(12))
    actor: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    encoder: Mapped[str] = mapped_column(String(64))
    copied_from: Mapped[str | None] = mapped_column(String(64))
    touched: Mapped[bool] = mapped_column(default=False, server_default=false())
    lost_document: Mapped[str | None] = mapped_column(String(64))
    lost_version: Mapped[int | None]

    __table_args__ = (Index("ix_kb_phrasings_document", "document_id"),)


class KbUnanswered(Base):
    """A question (masked) that the base had no answer to."""

    __tablename__ = "kb_unanswered"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    question: Mapped[str] = mapped_column(String(500))
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    encoder: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_kb_unanswered_asked", "asked_at"),)


class KbHits(Base):
    """How often a document was answered from on a day."""

    __tablename__ = "kb_hits"

    document_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class KbFinding(Base):
    """Something about the base that a person should look at. `state`: 待处理, 处理中, 已处理, 不处理.

    `key` is the same for the same finding, so that it is one task. `kind`: expired, expiring, duplicate, contradiction,
    dead_reference, never_hit, unanswered, feedback, dead_phrasing.
    """

    __tablename__ = "kb_findings"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    documents: Mapped[list[Any]]
    detail: Mapped[dict[str, Any]]
    owner: Mapped[str | None] = mapped_column(String(80))
    state: Mapped[str] = mapped_column(String(10))
    found_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)  # when it was last found true
    changed_by: Mapped[str | None] = mapped_column(String(40))
    changed_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_kb_findings_state", "state", "kind"),)


class KbFeedback(Base):
    """What a resident or an agent says of an answer. `verdict`: helpful, wrong, outdated."""

    __tablename__ = "kb_feedback"

    id: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)
    document_id: Mapped[str] = mapped_column(String(64))
    article: Mapped[str | None] = mapped_column(String(120))
    verdict: Mapped[str] = mapped_column(String(10))
    comment: Mapped[str | None] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(10))  # resident, agent
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("ix_kb_feedback_document", "document_id"),)
