"""Every mend of `engine/patches.py` that the tests with a whole Rasa process do not show."""

import asyncio
import copy
import json
import logging
import re
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from engine import absent

absent.install()

import jsonschema  # noqa: E402
import rasa.version  # noqa: E402
import structlog  # noqa: E402
from rasa.core.actions.action import RemoteAction  # noqa: E402
from rasa.core.tracker_store import SQLTrackerStore  # noqa: E402
from rasa.shared.core.domain import Domain  # noqa: E402
from rasa.shared.core.events import ActionExecuted, Event, SessionStarted, SlotSet, UserUttered  # noqa: E402
from rasa.shared.core.trackers import DialogueStateTracker  # noqa: E402

_UNPATCHED_RESOLVE = Event.resolve_by_type
_UNPATCHED_RETRIEVE, _UNPATCHED_SAVE = SQLTrackerStore._retrieve, SQLTrackerStore.save

from engine import patches  # noqa: E402

patches.install()

ANSWERS: list[dict[str, Any]] = [
    {},
    {"events": [], "responses": []},
    {"events": [{"event": "slot", "name": "place", "value": "x"}], "responses": [{"text": "y"}]},
    {"events": [{"event": "followup", "name": "action_x"}], "responses": [{"custom": {"a": 1}}]},
]
BROKEN: list[Any] = [
    None,
    [],
    {"events": 3},
    {"events": [{"event": "no such event"}]},
    {"events": [{"event": "slot"}]},
    {"responses": ["text"]},
]


class ActionAnswers(unittest.TestCase):
    def test_accepts_and_refuses_what_the_schema_says(self) -> None:
        action, schema = RemoteAction("a", None), RemoteAction.action_response_format_spec()
        for answer in ANSWERS:
            jsonschema.validate(answer, schema)
            self.assertTrue(action._validate_action_result(copy.deepcopy(answer)))
        for answer in BROKEN:
            with self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate(answer, schema)
            with self.assertRaises(jsonschema.ValidationError):
                action._validate_action_result(answer)

    def test_the_error_does_not_quote_the_answer(self) -> None:
        with self.assertRaises(jsonschema.ValidationError) as raised:
            RemoteAction("a", None)._validate_action_result({"events": [{"event": "slot", "value": "花园路"}]})
        self.assertIn("$.events[0]", str(raised.exception))
        self.assertNotIn("花园路", str(raised.exception))

    def test_the_schema_itself_is_not_checked_again(self) -> None:
        with mock.patch.object(jsonschema.Draft7Validator, "check_schema", side_effect=AssertionError):
            RemoteAction("a", None)._validate_action_result(ANSWERS[2])


class EventTypes(unittest.TestCase):
    def test_gives_what_rasa_gives(self) -> None:
        for name in ("user", "bot", "slot", "action", "session_started", "active_loop", "restart"):
            for _ in range(2):
                self.assertIs(Event.resolve_by_type(name), _UNPATCHED_RESOLVE(name))
        self.assertIsNone(Event.resolve_by_type("topic"))
        with self.assertRaises(ValueError):
            Event.resolve_by_type("no such event")

    def test_a_default_is_not_remembered(self) -> None:
        self.assertIs(Event.resolve_by_type("unknown", SlotSet), SlotSet)
        self.assertIs(Event.resolve_by_type("unknown", UserUttered), UserUttered)

    def test_looks_each_name_up_once(self) -> None:
        Event.resolve_by_type("user")
        with mock.patch("rasa.shared.utils.common.all_subclasses", side_effect=AssertionError):
            Event.resolve_by_type("user")


class Copies(unittest.TestCase):
    def test_only_in_debug(self) -> None:
        import rasa.core.processor as processor

        value, logger = [[1]], logging.getLogger()
        level = logger.level
        try:
            logger.setLevel(logging.INFO)
            self.assertIs(processor.copy.deepcopy(value), value)
            logger.setLevel(logging.DEBUG)
            copied = processor.copy.deepcopy(value)
            self.assertEqual(copied, value)
            self.assertIsNot(copied[0], value[0])
        finally:
            logger.setLevel(level)

    def test_the_processor_uses_copy_for_nothing_else(self) -> None:
        import rasa.core.processor as processor

        source = Path(str(processor.__file__)).read_text()
        self.assertEqual(set(re.findall(r"(?<![.\w])copy\.(\w+)", source)), {"deepcopy"})


class Sqlite(unittest.TestCase):
    def test_the_tracker_store_keeps_one_connection_that_does_not_wait_for_the_disk(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = SQLTrackerStore(host=f"sqlite:///{folder}/tracker.db")
            seen = set()
            for _ in range(3):
                with store.session_scope() as session:
                    seen.add(id(session.connection().connection.connection))
                    mode = session.execute("PRAGMA journal_mode").scalar()
                    synchronous = session.execute("PRAGMA synchronous").scalar()
            store.engine.dispose()
        self.assertEqual((mode, synchronous, len(seen)), ("wal", 1, 1))

    def test_conversations_are_stored_and_read_as_rasa_does(self) -> None:
        turns: list[list[Event]] = [
            [ActionExecuted("action_session_start"), SessionStarted(), UserUttered("一", {"name": "greet"})],
            [UserUttered("二", {"name": "thank"}), SlotSet("place", "花园路"), ActionExecuted("action_listen")],
            [],
            [ActionExecuted("action_session_start"), SessionStarted(), UserUttered("三", {"name": "greet"})],
            [UserUttered("四", {"name": "greet"})],
        ]

        async def play(store: SQLTrackerStore, retrieve: Any, save: Any) -> list[Any]:
            seen = []
            for number, turn in enumerate(turns):
                tracker = await retrieve(store, "c:0", False) or DialogueStateTracker("c:0", [])
                for event in turn:
                    event.timestamp = number + 1.0
                    tracker.update(event)
                await save(store, tracker)
                for everything in (False, True):
                    stored = await retrieve(store, "c:0", everything)
                    seen.append([event.as_dict() for event in stored.events])
            with store.session_scope() as session:
                columns = (store.SQLEvent.type_name, store.SQLEvent.intent_name, store.SQLEvent.action_name)
                seen.append([tuple(row) for row in session.query(*columns).order_by(store.SQLEvent.id)])
            return seen

        played = []
        for use in (
            (_UNPATCHED_RETRIEVE, _UNPATCHED_SAVE),
            (SQLTrackerStore._retrieve, SQLTrackerStore.save),
        ):
            with tempfile.TemporaryDirectory() as folder:
                store = SQLTrackerStore(domain=Domain.empty(), db=f"{folder}/tracker.db")
                played.append(asyncio.run(play(store, *use)))
                store.engine.dispose()
        self.assertEqual(played[0], played[1])
        self.assertEqual(len(played[0][-1]), sum(map(len, turns)))


class Failures(unittest.TestCase):
    def test_the_sql_store_lets_a_value_error_pass_instead_of_ending_the_process(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = SQLTrackerStore(db=f"{folder}/tracker.db")
            with self.assertRaisesRegex(ValueError, "embedded null"), store.session_scope():
                raise ValueError("embedded null")
            store.engine.dispose()

    def test_the_wrapped_store_falls_back_to_nothing(self) -> None:
        from rasa.core.tracker_store import FailSafeTrackerStore, InMemoryTrackerStore

        class Down(InMemoryTrackerStore):  # type: ignore[misc]
            async def retrieve(self, sender_id: str) -> Any:
                raise ConnectionError

            async def retrieve_full_tracker(self, sender_id: str) -> Any:
                raise ConnectionError

            async def save(self, tracker: Any) -> None:
                raise ConnectionError

        store = FailSafeTrackerStore(Down(Domain.empty()))
        for use in (store.retrieve("a"), store.retrieve_full_tracker("a"), store.save(None)):
            with self.assertRaises(ConnectionError):
                asyncio.run(use)

    def test_actions_end_before_the_lock(self) -> None:
        import rasa.core.actions.action as action
        import rasa.utils.endpoints as endpoints

        from engine.launcher import _DEFAULTS

        self.assertEqual(action.DEFAULT_REQUEST_TIMEOUT, patches.ACTION_TIMEOUT_S)
        self.assertEqual(endpoints.DEFAULT_REQUEST_TIMEOUT, patches.ACTION_TIMEOUT_S)
        self.assertGreater(
            float(_DEFAULTS["TICKET_LOCK_LIFETIME"]), patches.ACTION_TIMEOUT_S + patches.READER_TIMEOUT_S
        )

    def test_another_version_of_rasa_is_refused(self) -> None:
        with mock.patch.object(rasa.version, "__version__", "3.7.0"), self.assertRaisesRegex(RuntimeError, "3.7.0"):
            patches.install()


class Privacy(unittest.TestCase):
    def test_messages_and_local_variables_stay_out_of_log_lines(self) -> None:
        from rasa.utils import log_utils

        lines: list[str] = []
        with (
            mock.patch.object(structlog, "configure") as configure,
            mock.patch("sys.stderr.isatty", return_value=False),
        ):
            log_utils.configure_structlog(logging.INFO)
        processors = configure.call_args.kwargs["processors"]
        logger = mock.Mock(error=lines.append, disabled=False)
        logger.name = "rasa"
        log = structlog.wrap_logger(
            logger, processors=processors, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
        )
        secret = "花园路85号"
        try:
            raise RuntimeError("reason")
        except RuntimeError:
            log.exception("rest.message.received.failure", text=secret)
        line = lines[0]
        for written in (secret, json.dumps(secret)[1:-1]):
            self.assertNotIn(written, line)
        self.assertIn("RuntimeError", line)
        self.assertIn("reason", line)

    def test_an_action_servers_body_is_no_part_of_the_error(self) -> None:
        from rasa.utils.endpoints import ClientResponseError

        error = ClientResponseError(400, "Bad Request", '{"action_name": "a", "error": "花园路"}')
        self.assertNotIn("花园路", str(error))
        self.assertEqual(json.loads(error.text)["action_name"], "a")


class Endpoints(unittest.TestCase):
    def test_those_without_address_are_off(self) -> None:
        from rasa.core.utils import AvailableEndpoints

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "endpoints.yml"
            file.write_text(
                "nlu:\n  url: ${NLU}\naction_endpoint:\n  url: ${ACT}\ntracker_store:\n  type: SQL\n  url: ${DB}\n"
            )
            with mock.patch.dict("os.environ", {"NLU": "", "ACT": "http://127.0.0.1:1/actions", "DB": ""}):
                found = AvailableEndpoints.read_endpoints(str(file))
        self.assertIsNone(found.nlu)
        self.assertIsNone(found.tracker_store)
        self.assertEqual(found.action.url, "http://127.0.0.1:1/actions")


if __name__ == "__main__":
    unittest.main()
