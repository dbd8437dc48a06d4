"""Suggested replies: ranking, sources, and what is asked, with the real knowledge base and the demo city's replies."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assistant.city import City
from assistant.conversations.transcript import question_of
from assistant.db.models import Message, PastReply
from assistant.db.session import Database
from assistant.staff.suggest import Candidate, Ranker, Suggester
from kb.service import KbSettings, KnowledgeBase, NewDocument
from tests.staff.encoder import CALIBRATION, PairEncoder

CITY = City.load(Path(__file__).resolve().parents[2] / "city" / "demo")
RENT = "租房能不能提取公积金付房租？"
RENT_REPLY = "无房租房的，连续缴存满三个月可以提取公积金付房租，每年一次。"


@pytest.fixture
async def suggester(db: Database) -> Suggester:
    knowledge = KnowledgeBase(db, PairEncoder(), settings=KbSettings(calibration=CALIBRATION))
    text = "职工连续足额缴存满三个月，在本市无房且租房的，可以提取住房公积金付房租。"
    document = NewDocument(id="rent", title="住房公积金租房提取办法", text=text, issuer="市住房公积金管理中心")
    await knowledge.import_documents([document], publish=True)
    async with db.begin() as session:
        session.add(PastReply(question="租房可以提取公积金吗", reply=RENT_REPLY))
        session.add(PastReply(question="楼道灯坏了没人修", reply="已请物业今天派人更换楼道灯，请您留意。"))
    return Suggester(SimpleNamespace(db=db, kb=knowledge, city=CITY, reader=PairEncoder()))


async def test_three_different_replies_each_with_its_source(suggester: Suggester) -> None:
    found = await suggester.suggest(RENT)
    assert len(found) == 3
    assert len({s.text for s in found}) == 3
    assert found[0].kind == "kb"
    assert "《住房公积金租房提取办法》" in found[0].source and "市住房公积金管理中心" in found[0].source
    assert (found[1].kind, found[1].text) == ("past", RENT_REPLY)
    assert found[1].source.startswith("座席")


async def test_without_an_entry_the_citys_own_words_come_first(suggester: Suggester) -> None:
    found = await suggester.suggest("晚上楼下烧烤店油烟太大，窗户都不敢开")
    assert found[0].kind == "city" and "油烟" in found[0].text
    assert "常用语" in found[0].source


async def test_a_reply_sent_now_is_suggested_for_the_next_like_question(suggester: Suggester, db: Database) -> None:
    question = "社区食堂几点开门"
    assert all(s.kind != "past" for s in (await suggester.suggest(question))[:1])
    async with db.begin() as session:
        session.add(PastReply(question="请问社区食堂早上几点开门", reply="社区食堂早上六点半开门，周末也开。"))
    assert (await suggester.suggest(question))[0].text == "社区食堂早上六点半开门，周末也开。"


@pytest.mark.parametrize("question", ["", "  ", "？？？", "😀", "x" * 3000])
async def test_any_question_gets_suggestions_and_none_repeats(suggester: Suggester, question: str) -> None:
    found = await suggester.suggest(question)
    assert len({s.text for s in found}) == len(found) == 3


def test_ranking_puts_the_like_question_first_and_strangers_near_zero() -> None:
    wanted = Candidate("past", "暖气不热怎么办", "供热公司会上门测温。", "")
    others = [
        Candidate("city", reply.question, reply.reply, "") for reply in CITY.replies if "暖气" not in reply.question
    ]
    ranked = Ranker(PairEncoder()).rank("家里暖气一直不热，该怎么办", [*others, wanted])
    assert ranked[0][0] is wanted
    assert ranked[0][1] > 2 * ranked[1][1]
    assert all(0 <= score <= 1 for _, score in ranked)
    assert Ranker(PairEncoder()).rank("问题", []) == []


def test_a_ranker_embeds_a_text_once() -> None:
    class Counting(PairEncoder):
        texts = 0

        def embed(self, texts: Any, kind: Any) -> Any:
            Counting.texts += len(texts) if kind == "passage" else 0
            return super().embed(texts, kind)

    ranker = Ranker(Counting())
    candidates = [Candidate("city", reply.question, reply.reply, "") for reply in CITY.replies[:10]]
    ranker.rank("暖气不热", candidates)
    first = Counting.texts
    ranker.rank("路灯不亮", candidates)
    assert first == 20 and Counting.texts == first


def message(sender: str, text: str, intent: str = "file_request") -> Message:
    return Message(sender=sender, text=text, understanding={"intent": intent} if sender == "resident" else None)


def test_the_question_is_what_the_resident_last_said_that_matters() -> None:
    transcript = [
        message("resident", "我家停水了"),
        message("assistant", "请问地址？"),
        message("resident", "租房能提取公积金吗", "ask_policy"),
        message("resident", "转人工", "request_human"),
        message("resident", "你好", "greet"),
    ]
    assert question_of(transcript) == "我家停水了\n租房能提取公积金吗"
    assert question_of(
        [*transcript, message("agent", "可以的"), message("resident", "那要带什么材料", "ask_policy")]
    ) == ("那要带什么材料")
    assert question_of([message("resident", "转人工", "request_human")]) == ""
    assert question_of([]) == ""
