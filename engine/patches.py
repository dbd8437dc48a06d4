"""What we mend in Rasa 3.6.21, its last open release: each mend with its reason; tests in `tests/engine/inside/`.

`install()` imports Rasa, so `engine.absent.install()` comes first. It refuses any other version, because every mend
replaces something private that was read in this one.
"""

import contextlib
import functools
import logging
from collections.abc import Iterator
from typing import Any

RASA_VERSION = "3.6.21"
READER_TIMEOUT_S = 5.0
ACTION_TIMEOUT_S = 12.0
REDACTED = "[redacted]"


def install() -> None:
    """Apply every mend. Raises `RuntimeError` on another Rasa version."""
    import rasa.version

    if rasa.version.__version__ != RASA_VERSION:
        raise RuntimeError(f"engine/patches.py was written for Rasa {RASA_VERSION}, found {rasa.version.__version__}")
    check_action_answers_with_a_compiled_schema()
    remember_event_types()
    copy_for_debug_logs_only_in_debug()
    keep_one_quick_sqlite_connection()
    read_and_write_a_conversation_in_one_statement_each()
    fail_the_turn_when_an_action_fails()
    shorten_action_timeout()
    fail_the_turn_when_the_reader_fails()
    fail_the_turn_when_the_tracker_store_fails()
    keep_the_server_alive_on_a_value_error()
    keep_residents_words_out_of_the_log()
    ignore_endpoints_without_address()
    answer_rest_strictly()


# --- Speed ---------------------------------------------------------------------------------------------------------


def check_action_answers_with_a_compiled_schema() -> None:
    """`jsonschema.validate` first validates Rasa's own schema, on every answer of an action: 30 ms of CPU each."""
    import jsonschema
    from rasa.core.actions.action import RemoteAction

    schema = RemoteAction.action_response_format_spec()
    validator = jsonschema.validators.validator_for(schema)(schema)

    def validate(self: Any, result: Any) -> bool:
        error = jsonschema.exceptions.best_match(validator.iter_errors(result))
        if error is not None:
            # The instance is what an action answered: it may hold a resident's words.
            raise jsonschema.ValidationError(f"the answer breaks Rasa's action format at {error.json_path}")
        return True

    RemoteAction._validate_action_result = validate


def remember_event_types() -> None:
    """`Event.resolve_by_type` walks all subclasses for every stored event of a conversation, on every message."""
    from rasa.shared.core.events import Event

    look_up = Event.resolve_by_type
    known: dict[str, type[Any]] = {}

    def resolve_by_type(type_name: str, default: type[Any] | None = None) -> type[Any] | None:
        if type_name not in known:
            found = look_up(type_name, default)
            if found is None or found is default:
                return found
            known[type_name] = found
        return known[type_name]

    Event.resolve_by_type = staticmethod(resolve_by_type)


def copy_for_debug_logs_only_in_debug() -> None:
    """The processor deep-copies events and parse results for debug lines that nobody reads at another log level."""
    import copy

    import rasa.core.processor as processor

    class CopyInDebug:
        """What the processor uses of `copy`: `deepcopy`, for log lines only."""

        @staticmethod
        def deepcopy(value: Any) -> Any:
            return copy.deepcopy(value) if logging.getLogger().isEnabledFor(logging.DEBUG) else value

    processor.copy = CopyInDebug


def keep_one_quick_sqlite_connection() -> None:
    """Rasa opens the tracker's SQLite file twice a turn and waits for the disk in its event loop, 10 ms and more.

    Write-ahead log and `synchronous=NORMAL`: after a power failure the last turns of a conversation may be missing from
    the tracker (the application's own database has them), the file stays sound. One connection is enough, because Rasa
    uses its store from one thread only.
    """
    import rasa.core.tracker_store as tracker_store
    import sqlalchemy
    from sqlalchemy.pool import SingletonThreadPool

    engine_options = tracker_store.create_engine_kwargs

    def create_engine_kwargs(url: Any) -> dict[str, Any]:
        options: dict[str, Any] = engine_options(url)
        parsed = sqlalchemy.engine.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            options["poolclass"] = SingletonThreadPool
        return options

    def set_up(connection: Any, _record: Any) -> None:
        if type(connection).__module__ == "sqlite3":
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    tracker_store.create_engine_kwargs = create_engine_kwargs
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", set_up)


def read_and_write_a_conversation_in_one_statement_each() -> None:
    """Rasa builds its query anew twice a turn, counts in the database what it has just read, and adds event by event.

    A third of a turn. The statements here say the same; what a tracker was loaded with is noted on it, so that saving
    knows what is new. A tracker without the note (a new conversation, a copy) is counted as Rasa does.
    """
    import itertools
    import json

    import sqlalchemy as sa
    from rasa.core.tracker_store import SQLTrackerStore
    from rasa.shared.core.events import SessionStarted
    from rasa.shared.core.trackers import DialogueStateTracker

    events = SQLTrackerStore.SQLEvent.__table__
    of = events.c.sender_id == sa.bindparam("sender")
    latest_start = (
        sa.select(sa.func.max(events.c.timestamp))
        .where(of, events.c.type_name == SessionStarted.type_name)
        .scalar_subquery()
    )
    everything = sa.select(events.c.data).where(of).order_by(events.c.id)
    latest_session = everything.where(sa.or_(events.c.timestamp >= latest_start, latest_start.is_(None)))

    async def retrieve(self: Any, sender_id: str, fetch_events_from_all_sessions: bool) -> Any:
        query = everything if fetch_events_from_all_sessions else latest_session
        with self.session_scope() as session:
            found = [json.loads(data) for data in session.execute(query, {"sender": sender_id}).scalars()]
        if not found or not self.domain:
            return None
        tracker = DialogueStateTracker.from_dict(sender_id, found, self.domain.slots)
        tracker.minsheng_stored = len(found)
        return tracker

    async def save(self: Any, tracker: Any) -> None:
        await self.stream_events(tracker)
        with self.session_scope() as session:
            stored = getattr(tracker, "minsheng_stored", None)
            new = self._additional_events(session, tracker) if stored is None else tracker.events
            rows = []
            for event in new if stored is None else itertools.islice(new, stored, None):
                data = event.as_dict()
                rows.append(
                    {
                        "sender_id": tracker.sender_id,
                        "type_name": event.type_name,
                        "timestamp": data.get("timestamp"),
                        "intent_name": data.get("parse_data", {}).get("intent", {}).get("name"),
                        "action_name": data.get("name"),
                        "data": json.dumps(data),
                    }
                )
            if rows:
                session.execute(events.insert(), rows)
            session.commit()
        tracker.minsheng_stored = len(tracker.events)

    SQLTrackerStore._retrieve, SQLTrackerStore.save = retrieve, save


# --- A turn succeeds or fails as a whole -----------------------------------------------------------------------------


class _ActionFailed(BaseException):
    """Carries an action's error past Rasa's `except Exception`."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _FailingAloud:
    """An action whose errors Rasa cannot swallow; a rejection is no error."""

    def __init__(self, action: Any) -> None:
        self._action = action

    def __getattr__(self, name: str) -> Any:
        return getattr(self._action, name)

    async def run(self, *args: Any, **options: Any) -> Any:
        from rasa.core.actions.action import ActionExecutionRejection

        try:
            return await self._action.run(*args, **options)
        except ActionExecutionRejection:
            raise
        except Exception as error:
            raise _ActionFailed(error) from error


def fail_the_turn_when_an_action_fails() -> None:
    """Rasa logs an action's error, drops its events and goes on predicting.

    So a form whose validation failed ran its submit action with empty slots. Here the turn ends, nothing of it is
    saved, and the same message can be sent again.
    """
    from rasa.core.actions.action import ActionExtractSlots, RemoteAction
    from rasa.core.processor import MessageProcessor
    from rasa.shared.core.events import BotUttered, SlotSet

    run_action = MessageProcessor._run_action

    @functools.wraps(run_action)
    async def run_aloud(self: Any, action: Any, tracker: Any, output_channel: Any, nlg: Any, prediction: Any) -> bool:
        try:
            return await run_action(self, _FailingAloud(action), tracker, output_channel, nlg, prediction)
        except _ActionFailed as failed:
            raise failed.error from failed.error.__cause__

    async def run_slot_action(
        self: Any, custom_action: str, output_channel: Any, nlg: Any, tracker: Any, domain: Any
    ) -> list[Any]:
        action = RemoteAction(custom_action, self._action_endpoint)
        events = await action.run(output_channel, nlg, tracker, domain)
        return [event for event in events if isinstance(event, SlotSet | BotUttered)]

    MessageProcessor._run_action = run_aloud
    ActionExtractSlots._run_custom_action = run_slot_action


def shorten_action_timeout() -> None:
    """An action may take 300 s, while the conversation's lock ends after 60: two turns would run at once.

    The lock's life is set in `engine/launcher.py`, longer than this.
    """
    import rasa.core.actions.action as action
    import rasa.utils.endpoints as endpoints

    action.DEFAULT_REQUEST_TIMEOUT = ACTION_TIMEOUT_S
    endpoints.DEFAULT_REQUEST_TIMEOUT = ACTION_TIMEOUT_S


def fail_the_turn_when_the_reader_fails() -> None:
    """An NLU server that is down or slow gives Rasa an empty intent, and the resident a plausible wrong answer."""
    import aiohttp
    from rasa.core.http_interpreter import RasaNLUHttpInterpreter
    from rasa.shared.exceptions import RasaException

    timeout = aiohttp.ClientTimeout(total=READER_TIMEOUT_S)

    async def parse(self: Any, message: Any) -> Any:
        config = self.endpoint_config
        body = {"token": config.token, "text": message.text, "message_id": message.sender_id}
        async with self.session.post(f"{config.url.rstrip('/')}/model/parse", json=body, timeout=timeout) as response:
            if response.status != 200:
                raise RasaException(f"the NLU server answered {response.status}")
            return await response.json()

    RasaNLUHttpInterpreter.parse = parse


def fail_the_turn_when_the_tracker_store_fails() -> None:
    """With its database down, Rasa takes every message for the first of a new conversation and stores it in memory."""
    from rasa.core.tracker_store import FailSafeTrackerStore

    async def retrieve(self: Any, sender_id: str) -> Any:
        return await self._tracker_store.retrieve(sender_id)

    async def retrieve_full_tracker(self: Any, sender_id: str) -> Any:
        return await self._tracker_store.retrieve_full_tracker(sender_id)

    async def save(self: Any, tracker: Any) -> None:
        await self._tracker_store.save(tracker)

    FailSafeTrackerStore.retrieve = retrieve
    FailSafeTrackerStore.retrieve_full_tracker = retrieve_full_tracker
    FailSafeTrackerStore.save = save


def keep_the_server_alive_on_a_value_error() -> None:
    """The SQL store takes any `ValueError` (a NUL in a sender id) for a missing schema and ends the process."""
    from rasa.core.tracker_store import SQLTrackerStore, ensure_schema_exists

    @contextlib.contextmanager
    def session_scope(self: Any) -> Iterator[Any]:
        session = self.sessionmaker()
        try:
            ensure_schema_exists(session)
            yield session
        finally:
            session.close()

    SQLTrackerStore.session_scope = session_scope


# --- Privacy -------------------------------------------------------------------------------------------------------


def keep_residents_words_out_of_the_log() -> None:
    """Rasa logs the message of a failed turn, and every local variable of each frame of a traceback."""
    import rasa.utils.log_utils as log_utils
    import structlog
    from rasa.utils.endpoints import ClientResponseError

    def redact(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {key: REDACTED if key in _PRIVATE_KEYS else value for key, value in event.items()}

    log_utils._anonymizer = redact
    structlog.processors.dict_tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )

    def keep_body_out_of_the_words(self: Any, status: int, message: str, text: bytes | str) -> None:
        # Rasa reads the body of a 400 from `text`; the words of an exception are logged.
        self.status, self.message, self.text = status, message, text
        Exception.__init__(self, f"{status}, {message}")

    ClientResponseError.__init__ = keep_body_out_of_the_words


# The keys that Rasa itself hands to its paid anonymiser, and those of `rest.message.*`.
_PRIVATE_KEYS = frozenset(
    {
        "current_entity",
        "current_states",
        "entity",
        "json_message",
        "message",
        "next_entity",
        "old_states",
        "parse_data_entities",
        "parse_data_text",
        "prediction_events",
        "prefilled_slots",
        "rasa_event",
        "rasa_events",
        "response",
        "response_text",
        "slot_candidates",
        "slot_values",
        "states",
        "successes",
        "text",
        "token_text",
        "tracker_latest_message",
        "tracker_states",
        "user_message",
        "user_text",
    }
)


# --- Configuration -------------------------------------------------------------------------------------------------


def ignore_endpoints_without_address() -> None:
    """One endpoints.yml serves `minsheng serve` and `rasa shell`: an empty variable switches its endpoint off."""
    from rasa.core.utils import AvailableEndpoints

    read = AvailableEndpoints.read_endpoints.__func__

    def read_endpoints(cls: Any, endpoint_file: str) -> Any:
        endpoints = read(cls, endpoint_file)
        for name in ("nlu", "action", "tracker_store"):
            config = getattr(endpoints, name)
            if config is not None and config.url == "":
                setattr(endpoints, name, None)
        return endpoints

    AvailableEndpoints.read_endpoints = classmethod(read_endpoints)


def answer_rest_strictly() -> None:
    """Rasa's REST channel answers 200 with `[]`, or with half an answer, when a turn failed: see `engine/rest.py`."""
    from rasa.core import channels

    from engine.rest import StrictRestInput

    channels.BUILTIN_CHANNELS[StrictRestInput.name()] = StrictRestInput
