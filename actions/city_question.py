"""Questions that staff taught the assistant: the answer is the text they wrote beside the examples."""

from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices

ACTIONS = Catalogue()


@ACTIONS.action("action_city_question")
async def answer(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Say the reply that belongs to the intent's own name; it may have been taken off since the text was read."""
    own_name = str((turn.message.get("understanding") or {}).get("intent") or "")
    text = services.city_reply(own_name)
    offers = ("转人工",) if turn.form else ("登记工单", "转人工")
    reply.say(text or "这件事我这会儿答不上来。要不要登记下来，或者转人工问问？", *offers)
