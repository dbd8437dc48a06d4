"""What a resident says of an answer, kept at the entries it came from."""

import re

import structlog

from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices
from assistant.errors import MinshengError

log = structlog.get_logger()
ACTIONS = Catalogue()

_ANSWERED = "action_answer_policy"
_OUTDATED = re.compile("过时|过期|作废|失效|老黄历|老政策|旧政策|旧规定|早就改|已经改|改了|变了|取消了|不是现在")
_WRONG = re.compile("不对|不准|错|不是这样|不是真|胡说|瞎说|骗人")
_SORRY = "对不起，没帮到您。您可以换个说法再说一次，或者我现在给您转人工。"


@ACTIONS.action("action_complain_bot")
async def complaint(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """An apology and a person; what was said of a policy answer just now is kept at its entry."""
    kept = await judge(turn, services, "outdated" if _OUTDATED.search(turn.text) else "wrong")
    told = "您的意见我记下了，会请编辑核对这条政策。" if kept else ""
    reply.say(f"{_SORRY}{told}", "转人工")


async def judge(turn: Turn, services: ActionServices, verdict: str) -> bool:
    """Keep a verdict on the answer of the turn before; False where that was none, or it could not be kept."""
    kept = False
    for number, (document, article) in enumerate(_cited_before(turn)):
        try:
            await services.policy_feedback(f"{turn.key}:{number}", document, article, verdict, turn.text)
            kept = True
        except MinshengError as error:
            # The entry may be gone by now.
            log.info("feedback_left", error=type(error).__name__)
        except Exception as error:
            log.error("feedback_failed", error=type(error).__name__)
    return kept


async def judge_denial(turn: Turn, services: ActionServices) -> bool:
    """A "no" to an answer that says why: wrong, or outdated. A mere "no" says nothing of it."""
    verdict = "outdated" if _OUTDATED.search(turn.text) else "wrong" if _WRONG.search(turn.text) else None
    return verdict is not None and await judge(turn, services, verdict)


def _cited_before(turn: Turn) -> list[tuple[str, str | None]]:
    """Documents and articles that the answer to the resident's last message but this one cited."""
    if not turn.ran_in_previous_turn(_ANSWERED):
        return []
    cited: dict[tuple[str, str | None], None] = {}
    users = 0
    for event in reversed(turn.events):
        if event.get("event") == "user":
            users += 1
            if users == 2:
                break
        elif users == 1 and event.get("event") == "bot":
            custom = (event.get("data") or {}).get("custom") or {}
            for citation in custom.get("citations") or []:
                if citation.get("document"):
                    cited[citation["document"], citation.get("article")] = None
    return list(cited)
