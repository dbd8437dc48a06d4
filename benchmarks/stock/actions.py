"""The action server of stock Rasa: every custom action of the domain, answered by rasa-sdk with a fixed text.

They do no work at all, so the comparison leans towards stock Rasa: Minsheng's actions search, write tickets and push
them.
"""

from pathlib import Path
from typing import Any

import yaml
from rasa_sdk import Action
from rasa_sdk.events import SlotSet

DOMAIN = yaml.safe_load((Path(__file__).resolve().parents[2] / "domain.yml").read_text(encoding="utf-8"))


class FixedAnswer:
    """Says that it ran; a form's validation fills the slot that was asked for with what the resident wrote."""

    action_name = ""

    def name(self) -> str:
        """The name in the domain."""
        return self.action_name

    async def run(self, dispatcher: Any, tracker: Any, domain: Any) -> list[dict[str, Any]]:
        """One text, and for a form one slot."""
        dispatcher.utter_message(text="好的，已经记下。")
        if not self.action_name.startswith("validate_"):
            return []
        asked = tracker.get_slot("requested_slot")
        value = True if asked == "confirmed" else tracker.latest_message.get("text")
        return [SlotSet(asked, value)] if asked else []


for _name in DOMAIN["actions"]:
    globals()[_name] = type(_name, (FixedAnswer, Action), {"action_name": _name})
del _name
