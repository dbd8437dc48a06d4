"""Where the places of a document are after it was rewritten."""

import pytest

from kb.places import moved

PAPERS = "申请人应当提交身份证、营业执照和经营场所的证明材料。"
PENALTY = "违反本条例第{n}条规定，{what}的，由城市管理部门责令限期改正，处{sum}元以上罚款；情节严重的，吊销许可证。"


def penalty(n: str, what: str, amount: str) -> str:
    return PENALTY.format(n=n, what=what, sum=amount)


def test_of_two_sections_with_the_same_words_the_edited_one_stays_itself() -> None:
    before = {"设立 / 申请材料": PAPERS, "变更 / 申请材料": PAPERS}
    after = {"设立 / 申请材料": f"{PAPERS}另附章程。", "变更 / 申请材料": PAPERS}
    assert moved(before, after, list(before)) == {place: place for place in before}


def test_articles_follow_their_words_where_one_was_put_in_before() -> None:
    told = [("十二", "擅自占用道路摆摊", "二百"), ("十三", "在楼道堆放杂物", "五百"), ("十四", "遛狗不牵绳", "一千")]
    later = {"十二": "十三", "十三": "十四", "十四": "十五"}
    before = {f"第三十{n}条": penalty(*one) for n, one in zip("〇一二", told, strict=True)}
    after = {f"第三十{n}条": penalty(later[i], w, s) for n, (i, w, s) in zip("一二三", told, strict=True)}
    after["第三十〇条"] = penalty("十二", "向河道倾倒垃圾", "三千")
    expected = {"第三十〇条": "第三十一条", "第三十一条": "第三十二条", "第三十二条": "第三十三条"}
    assert moved(before, after, list(before)) == expected


def test_two_places_have_no_common_heir() -> None:
    before = {"第一条": penalty("十二", "遛狗不牵绳", "二百"), "第二条": penalty("十二", "遛狗不牵绳子", "二百")}
    after = {"第一条": penalty("十二", "遛狗不牵着绳子", "二百")}
    assert sorted(map(str, moved(before, after, list(before)).values())) == ["None", "第一条"]


@pytest.mark.parametrize("place", ["第五条", "总则 / 第五条"])
def test_the_same_number_of_another_matter_is_no_heir(place: str) -> None:
    before = {place: "停车场收费标准由市发展和改革部门会同有关部门制定，并向社会公布。"}
    after = {place: "共享单车，是指企业投放、扫码租用的两轮脚踏车。"}
    assert moved(before, after, [place]) == {place: None}
    assert moved({"费用": before[place]}, {"费用": after[place]}, ["费用"]) == {"费用": "费用"}
