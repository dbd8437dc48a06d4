"""A place that is told a second time, on a real Rasa: otherwise written, vaguer, more exactly."""

import pytest

from tests.dialogue.conftest import Talk
from tests.dialogue.test_conversations import MUNICIPAL

pytestmark = pytest.mark.engine

EXACT = "花园路85号院3号楼"


async def to_contact(talk: Talk, place: str) -> None:
    told = f"{place}垃圾成堆臭气熏天，已经半个月没人清"
    assert "联系电话" in await talk.say(told, "file_request", place=place, category=MUNICIPAL, time="半个月")


@pytest.mark.parametrize(
    ("before", "again"),
    [
        ("三全路8号院", "三全路八号院"),
        ("三全路八号院", "三全路8号院"),
        ("二七区1号楼", "二七区一号楼"),
        ("五十六中", "56中"),
    ],
)
@pytest.mark.parametrize("at_summary", [False, True])
async def test_a_matter_told_again_is_no_other_one(talk: Talk, before: str, again: str, at_summary: bool) -> None:
    await to_contact(talk, before)
    if at_summary:
        assert "请您核对" in await talk.say("匿名")
    talk.services.reader.teach("的垃圾到现在没人清", "file_request", category=MUNICIPAL)
    answer = await talk.say(f"{again}的垃圾到现在没人清", "file_request", category=MUNICIPAL, place=again)
    assert "另一件事" not in answer
    if not at_summary:
        answer = await talk.say("匿名")
    assert f"地点：{before}\n" in answer and f"补充：{again}的垃圾到现在没人清" in answer


@pytest.mark.parametrize(
    ("before", "again"),
    [
        ("三全路8号院", "三全路八号院"),
        ("二七区1号楼", "一号楼"),
        ("二七区一号楼", "1号楼"),
        (EXACT, "花园路"),
        (EXACT, "花园路八十五号院"),
        (EXACT, "三号楼"),
    ],
)
@pytest.mark.parametrize("intent", ["inform_place", "inform_detail", "affirm"])
async def test_a_place_told_again_changes_nothing(talk: Talk, before: str, again: str, intent: str) -> None:
    await to_contact(talk, before)
    await talk.say(f"就{again}那儿", intent, place=again)
    assert f"地点：{before}\n" in await talk.say("匿名")
    answer = await talk.say(f"对，就是{again}那儿", intent, place=again)
    assert f"地点：{before}\n" in answer and "要改哪一项" not in answer and "另一件事" not in answer


async def test_what_others_reported_is_looked_for_once(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    await to_contact(talk, "三全路8号院")
    await talk.say("匿名")
    looked: list[object] = []

    async def look(draft: object) -> None:
        looked.append(draft)

    monkeypatch.setattr(talk.services, "similar", look)
    await talk.say("地点是三全路八号院", "correct", place="三全路八号院")
    assert not looked
    await talk.say("地点是三全路九号院", "correct", place="三全路九号院")
    assert looked


@pytest.mark.parametrize("again", ["花园路", "花园路八十五号院", "花园路3号楼"])
async def test_a_place_beside_an_answer_stays_the_exact_one(talk: Talk, again: str) -> None:
    await talk.say(f"{EXACT}门口路灯坏了", "file_request", place=EXACT, category=MUNICIPAL, request_type="求助")
    assert "几盏" in "".join(reply.text for reply in talk.replies)
    assert "几盏" in await talk.say(f"就{again}那儿", "inform_place", place=again)
    await talk.say("一盏", "nlu_fallback")
    assert f"地点：{EXACT}\n" in await talk.say("匿名")


@pytest.mark.parametrize("words", ["就花园路85号院", "就在花园路85号院", "是花园路85号院", "我家住在花园路85号院"])
async def test_a_place_has_no_words_before_it(talk: Talk, words: str) -> None:
    await talk.say("路灯坏了", "file_request", category=MUNICIPAL, request_type="求助")
    # The model marks the whole answer.
    assert "几盏" in await talk.say(words, "inform_place", place=words)
    await talk.say("跳过")
    assert "地点：花园路85号院\n" in await talk.say("匿名")
    other = words.replace("花园路85号院", "文化路9号")
    assert "地点：文化路9号\n" in await talk.say(f"地址写错了，应该{other}", "correct", place=other)


async def test_a_correction_may_say_less(talk: Talk) -> None:
    await to_contact(talk, EXACT)
    await talk.say("匿名")
    assert "地点：花园路\n" in await talk.say("地址不对，应该是花园路", "correct", place="花园路")


async def test_a_better_place_told_in_passing_is_taken(talk: Talk) -> None:
    await to_contact(talk, "花园路")
    await talk.say("就是花园路85号院", "inform_place", place="花园路85号院")
    assert "地点：花园路85号院\n" in await talk.say("匿名")


@pytest.mark.parametrize(
    ("known", "right"),
    [
        ("风情路12号", "丰庆路12号"),
        ("地铁1号线会展中心站A口", "地铁1号线会展中心站B口"),
        ("花园路85号院北侧", "花园路85号院南侧"),
        ("花园小区东3号楼", "花园小区西3号楼"),
    ],
)
async def test_a_correction_is_taken_however_like_the_place_is(talk: Talk, known: str, right: str) -> None:
    await to_contact(talk, known)
    await talk.say("匿名")
    assert f"地点：{right}" in await talk.say(f"地址写错了，应该是{right}", "correct", place=right)


async def test_a_correction_without_a_place_asks_again(talk: Talk) -> None:
    await to_contact(talk, EXACT)
    await talk.say("匿名")
    assert "发生在哪里" in await talk.say("地址不对，应该是在", "correct")
    assert "地点：经三路26号" in await talk.say("经三路26号", "inform_place", place="经三路26号")
