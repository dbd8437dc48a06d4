"""常见问法 in a real Chromium: on a document's page, from the hit test, from a cluster of unanswered questions."""

import sqlite3

import pytest
from playwright.sync_api import expect

from tests.staff.conftest import Open, Workbench
from tests.staff.encoder import PairEncoder
from tests.staff.looking import fits, picture

pytestmark = pytest.mark.browser

RENT = "租房提取住房公积金要缴存几个月"


def stored(workbench: Workbench) -> list[tuple[str, str | None, str, str]]:
    with sqlite3.connect(workbench.database, timeout=30) as database:
        return database.execute("SELECT document_id, label, text, source FROM kb_phrasings ORDER BY id").fetchall()


def put(workbench: Workbench, label: str, *texts: str) -> None:
    """These phrasings of the document "rent", and no others."""
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute("DELETE FROM kb_phrasings")
        for text in texts:
            (vector,) = PairEncoder().embed([text], "query")
            database.execute(
                "INSERT INTO kb_phrasings (document_id, label, text, source, actor, created_at, embedding, encoder)"
                " VALUES ('rent', ?, ?, 'staff', 'editor', '2026-11-22 08:00:00.000000', ?, ?)",
                (label, text, vector.astype("<f2").tobytes(), PairEncoder.encoder_id),
            )


def audited(workbench: Workbench, event: str) -> int:
    with sqlite3.connect(workbench.database, timeout=30) as database:
        found = database.execute("SELECT count(*) FROM audit WHERE event = ?", (event,)).fetchone()
    return int(found[0])


@pytest.mark.parametrize("width", [1280, 390])
def test_an_editor_adds_and_deletes_a_phrasing(open_as: Open, workbench: Workbench, width: int) -> None:
    page = open_as("editor", width)
    page.goto("/staff/knowledge/rent")
    expect(page.get_by_role("heading", name="常见问法")).to_be_visible()
    expect(page.get_by_text("还没有问法。")).to_be_visible()
    page.get_by_role("button", name="添加问法").click()
    expect(page.get_by_text("请先写一句居民会说的话。")).to_be_visible()
    before = audited(workbench, "kb.phrasing_add")
    page.get_by_label("居民的问法").fill("房租能拿那个钱交不 <b>13812345678</b>")
    page.get_by_role("combobox", name="写在哪一条").click()
    page.get_by_role("option", name="第二条").click()
    page.get_by_role("button", name="添加问法").click()
    expect(page.get_by_text("房租能拿那个钱交不 <b>138****5678</b>")).to_be_visible()
    assert audited(workbench, "kb.phrasing_add") == before + 1
    assert [(document, label) for document, label, _, _ in stored(workbench)] == [("rent", "第二条")]
    picture(page, f"phrasings-{width}")
    fits(page)
    page.get_by_role("button", name="删除：").click()
    expect(page.get_by_text("还没有问法。")).to_be_visible()
    assert stored(workbench) == []
    assert audited(workbench, "kb.phrasing_remove") > 0


@pytest.mark.parametrize("width", [1280, 390])
def test_those_whose_place_is_gone_are_put_to_another(open_as: Open, workbench: Workbench, width: int) -> None:
    put(workbench, "第九条（原）", "房租能拿那个钱交不", "租房咋提钱")
    page = open_as("editor", width)
    page.goto("/staff/knowledge/rent")
    expect(page.get_by_text("条款已不存在，没有用到")).to_be_visible()
    expect(page.get_by_text("标有“（原）”的是改版以前的条款")).to_be_visible()
    page.get_by_role("button", name="改到这一条").click()
    expect(page.get_by_text("请先选这些问法该写在哪一条。")).to_be_visible()
    page.get_by_role("combobox", name="“第九条（原）”的问法改写在哪一条").click()
    page.get_by_role("option", name="第二条").click()
    picture(page, f"phrasings-lost-{width}")
    fits(page)
    page.get_by_role("button", name="改到这一条").click()
    expect(page.get_by_text("已改写 2 个问法的位置")).to_be_visible()
    expect(page.get_by_text("条款已不存在，没有用到")).to_have_count(0)
    expect(page.get_by_text("标有“（原）”的是改版以前的条款")).to_have_count(0)
    assert {(document, label) for document, label, _, _ in stored(workbench)} == {("rent", "第二条")}
    assert audited(workbench, "kb.phrasing_move") > 0


def test_one_that_a_colleague_deleted_meanwhile_is_told_and_the_others_are_put(
    open_as: Open, workbench: Workbench
) -> None:
    put(workbench, "第九条（原）", "房租能拿那个钱交不", "租房咋提钱")
    page = open_as("editor")
    page.goto("/staff/knowledge/rent")
    page.get_by_role("combobox", name="“第九条（原）”的问法改写在哪一条").click()
    page.get_by_role("option", name="第二条").click()
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute("DELETE FROM kb_phrasings WHERE text = '租房咋提钱'")
    page.get_by_role("button", name="改到这一条").click()
    expect(page.get_by_text("刚被同事删除，没有改写：“租房咋提钱”")).to_be_visible()
    expect(page.get_by_text("已改写 1 个问法的位置")).to_be_visible()
    assert [(label, text) for _, label, text, _ in stored(workbench)] == [("第二条", "房租能拿那个钱交不")]
    picture(page, "phrasings-one-gone")


def test_a_tried_question_is_kept_at_the_hit(open_as: Open, workbench: Workbench) -> None:
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute("DELETE FROM kb_phrasings")
    page = open_as("editor")
    page.get_by_label("问题", exact=True).fill(RENT)
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("会这样回答")).to_be_visible()
    page.get_by_role("button", name="这样问应找到这里").first.click()
    expect(page.get_by_text("已记为问法：《住房公积金租房提取办法》")).to_be_visible()
    page.get_by_role("button", name="提问").click()
    expect(page.get_by_text("· 问法 1.000").first).to_be_visible()
    picture(page, "hit-test-phrasing")
    fits(page)
    page.get_by_role("button", name="这样问应找到这里").first.click()
    expect(page.get_by_text("这个问法已经在这里了")).to_be_visible()
    ((document, _, text, source),) = stored(workbench)
    assert (document, text, source) == ("rent", RENT, "hit_test")


def test_unanswered_questions_are_put_to_a_place(open_as: Open, workbench: Workbench) -> None:
    asked = ["屋子冷冰冰找谁修", "屋子冷冰冰谁来修"]
    with sqlite3.connect(workbench.database, timeout=30) as database:
        database.execute("DELETE FROM kb_findings")
        database.execute("DELETE FROM kb_phrasings")
        for question in asked:
            (vector,) = PairEncoder().embed([question], "query")
            database.execute(
                "INSERT INTO kb_unanswered (question, embedding, encoder, asked_at) VALUES (?, ?, ?, ?)",
                (question, vector.tobytes(), PairEncoder.encoder_id, "2026-11-22 08:00:00.000000"),
            )
    page = open_as("editor")
    page.goto("/staff/health")
    page.get_by_role("button", name="现在体检").click()
    finding = page.get_by_role("article").filter(has_text="没有找到答案")
    finding.get_by_role("button", name="归到已有条款").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("问法一直保存，直到有人删除")).to_be_visible()
    first, second = (dialog.get_by_label(f"第 {n} 句") for n in (1, 2))
    assert {first.input_value(), second.input_value()} == set(asked)
    picture(page, "phrasings-assign")
    before = audited(workbench, "kb.phrasing_add")
    second.fill("王师傅13812345678，屋里冷冰冰的")
    dialog.get_by_role("combobox", name="条款").click()
    page.get_by_role("option", name="第二条").click()
    dialog.get_by_role("button", name="保存问法").click()
    expect(page.get_by_text("第 2 句里还有电话、证件或银行卡号码（138****5678），请删去后再保存。")).to_be_visible()
    assert (stored(workbench), audited(workbench, "kb.phrasing_add")) == ([], before)
    second.fill("屋里冷冰冰的")
    kept = [first.input_value(), "屋里冷冰冰的"]
    dialog.get_by_role("button", name="保存问法").click()
    expect(page.get_by_text("已记下 2 个问法，这一条标为已处理。")).to_be_visible()
    expect(finding).to_have_count(0)
    found = stored(workbench)
    assert [text for _, _, text, _ in found] == kept
    assert {(document, label, source) for document, label, _, source in found} == {("rent", "第二条", "unanswered")}
