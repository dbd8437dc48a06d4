"""Questions about rules, benefits and procedures, answered from the knowledge base with its sources."""

import asyncio

import structlog

from actions.protocol import Catalogue, Reply, Turn
from actions.services import ActionServices
from kb.words import content_words, words
from nlu.labels import FALLBACK

log = structlog.get_logger()
ACTIONS = Catalogue()

# A short question that names no matter, only what is asked of it, goes on from the one before: "那要多少钱".
_FOLLOW_UP_CHARS = 14
_ASKED_WORDS = (
    "钱 要钱 花钱 收费 费用 免费 材料 证件 手续 资料 东西 证明 带 拿 准备 交 条件 要求 资格 标准 流程 步骤 具体 "
    "电话 号码 地址 地点 地方 网上 线上 手机 窗口 部门 代办 本人 别人 周末 上班 时限 期限 "
    "这个 那个 这种 它 还要 还 别的 其他 另外 不 没 呢 吗"
)
_ASKED_OF_A_MATTER = frozenset(_ASKED_WORDS.split())
_FOLLOWED = 4
_TOPIC_CHARS = 60
_SUGGESTED = 2


_OF_OURSELVES = {
    "ask_fee": "utter_fee",
    "ask_process": "utter_process",
    "ask_service_hours": "utter_service_hours",
}
"""Asked right after an answer about a matter, these are about the matter: "那要多少钱"."""


@ACTIONS.action("action_answer_policy")
async def answer_policy(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Answer, or say honestly that nothing was found, and offer what helps then."""
    await _answer(turn, services, reply)


@ACTIONS.action("action_about_matter_or_us")
async def about_matter_or_us(turn: Turn, services: ActionServices, reply: Reply) -> None:
    """Cost, way and hours: of the matter that was asked about just now, else of the hotline."""
    if not turn.form and _topic(turn):
        await _answer(turn, services, reply)
    else:
        reply.utter(_OF_OURSELVES.get(turn.intent, "utter_process"))


async def _answer(turn: Turn, services: ActionServices, reply: Reply) -> None:
    offers = ("转人工",) if turn.form else ("登记工单", "转人工")
    try:
        answer = await services.answer(turn.text, after=_topic(turn))
    except Exception as error:
        log.error("answer_failed", error=type(error).__name__)
        reply.say("政策库这会儿查不了，我不想随便答您。可以稍后再问，或者现在转人工。", *offers)
        return
    if answer.outcome == "answered":
        following = [] if turn.form else answer.next_questions[:_SUGGESTED]
        questions = await _understood({question: question for question in following}, services)
        citations = [citation.as_dict() for citation in answer.citations]
        reply.say(answer.text, *offers, questions=questions, custom={"citations": citations})
    elif answer.outcome == "ask":
        choices = {choice.label: choice.question for choice in answer.choices}
        reply.say(answer.text, *offers, questions=await _understood(choices, services))
    else:
        reply.say(answer.text, *offers)


async def _understood(questions: dict[str, str], services: ActionServices) -> dict[str, str]:
    """Those that the model reads as questions about a policy: a button must do what it says."""
    found = {}
    for title, question in questions.items():
        understanding = await asyncio.to_thread(services.reader.read, question)
        if understanding.intent.name == "ask_policy":
            found[title] = question
    return found


def asks_on(turn: Turn) -> bool:
    """Whether words that mean nothing by themselves ask on after a policy answer: "要带啥"."""
    return bool(set(content_words(words(turn.text))) & _ASKED_OF_A_MATTER) and bool(_topic(turn))


def _topic(turn: Turn) -> str:
    """The question that this one goes on from, past others that did; empty for one that stands by itself."""
    if not _goes_on(turn.text):
        return ""
    topic = ""
    for before in turn.previous_messages()[:_FOLLOWED]:
        text = str(before.get("text") or "").strip()
        intent = (before.get("intent") or {}).get("name")
        if intent not in ("ask_policy", FALLBACK, *_OF_OURSELVES) or len(text) > _TOPIC_CHARS:
            break
        if not _goes_on(text):
            topic = text if intent == "ask_policy" else ""
            break
        topic = text
    return topic


def _goes_on(text: str) -> bool:
    return len(text) <= _FOLLOW_UP_CHARS and not set(content_words(words(text))) - _ASKED_OF_A_MATTER
