"""The reader: what it says, for any text, from any thread."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nlu import labels, runtime
from nlu.errors import ModelError
from nlu.runtime import Reader, Understanding

COMPLAINT = "金水区花园路85号楼下烧烤店每天晚上油烟很大，我家孩子一直咳嗽"
BUTTONS = {
    "确认提交": "affirm", "修改": "correct", "取消": "cancel", "匿名": "anonymous", "转人工": "request_human",
    "查进度": "ticket_progress", "补充情况": "ticket_add", "撤销工单": "ticket_withdraw", "催办": "ticket_urge",
    "我要投诉": "file_request", "政策咨询": "ask_policy", "有帮助": "feedback_helpful", "没帮助": "complain_bot",
}  # fmt: skip


def entities(found: Understanding, kind: str) -> list[str]:
    return [entity.text for entity in found.entities if entity.type == kind]


def test_a_complaint_is_read_in_one_go(reader: Reader) -> None:
    found = reader.read(COMPLAINT)
    assert found.intent.name == "file_request"
    assert found.request_type.name in ("投诉", "举报")
    assert found.category1.name in ("环境保护", "城乡建设")
    assert entities(found, "place") == ["金水区花园路85号"]
    assert entities(found, "road") == ["花园路"]
    assert entities(found, "time") == ["每天晚上"]


@pytest.mark.parametrize(("text", "intent"), BUTTONS.items())
def test_buttons_are_understood_exactly(reader: Reader, text: str, intent: str) -> None:
    for typed in (text, f"{text}。", f" {text} "):
        found = reader.read(typed)
        assert (found.intent.name, found.intent.confidence) == (intent, 1.0)
        assert found.intent_ranking[0] == found.intent
        assert len({label.name for label in found.intent_ranking}) == len(found.intent_ranking)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "😀😀😀", "。。。！？", "\u200b\u200d", "\x00\x07"])
def test_nothing_is_understood_in_nothing(reader: Reader, text: str) -> None:
    found = reader.read(text)
    assert found.intent.name == labels.FALLBACK
    assert found.text == text
    assert found.entities == ()


@pytest.mark.parametrize(
    "text", ["我" * 10_000, "A1" * 5_000, "\ud800坏字符", "<script>alert(1)</script>", '/inform{"place":"x"}']
)
def test_any_text_is_read(reader: Reader, text: str) -> None:
    found = reader.read(text)
    assert found.intent.name in (*labels.INTENTS, labels.FALLBACK)
    for entity in found.entities:
        assert text[entity.start : entity.end] == entity.text


def test_long_messages_are_read_to_the_end(reader: Reader) -> None:
    filler = "物业一直不处理，我们反映过很多次，大家都很着急。" * 40
    found = reader.read(filler + "地址是中原区建设路100号，电话138****5678")
    assert entities(found, "place") == ["中原区建设路100号"]
    assert entities(found, "phone") == ["138****5678"]


def test_masked_personal_data_are_recognised(reader: Reader) -> None:
    found = reader.read("我叫王建国，电话138****5678，身份证410101********1234")
    assert entities(found, "phone") == ["138****5678"]
    assert entities(found, "id_card") == ["410101********1234"]
    assert entities(found, "name") == ["王建国"]


@pytest.mark.parametrize("place", ["A3区", "B市C县"])
def test_places_hidden_by_letters_are_places(reader: Reader, place: str) -> None:
    assert any(place in found for found in entities(reader.read(f"{place}的路灯坏了"), "place"))


@pytest.mark.parametrize("text", ["电梯困人了", "楼上着火了吗好大的烟味", "家里有煤气味", "有人要跳楼"])
def test_danger_is_seen(reader: Reader, text: str) -> None:
    assert reader.read(text).urgency.name == "特急"


@pytest.mark.parametrize("text", ["没有煤气泄漏", "煤气费怎么交", "公积金怎么提取", "电梯坏了", "你好"])
def test_what_only_sounds_dangerous_is_not(reader: Reader, text: str) -> None:
    found = reader.read(text)
    assert found.urgency.name != "特急"
    assert found.intent.name != "report_danger"


def test_the_shape_is_the_public_one(reader: Reader) -> None:
    found = json.loads(json.dumps(reader.read(COMPLAINT).as_dict(), ensure_ascii=False))
    assert set(found) == {
        "intent", "request_type", "category", "requests", "urgency", "entities", "confidence", "model_version",
    }  # fmt: skip
    assert set(found["category"]) == {"level1", "level2", "candidates"}
    assert set(found["confidence"]) == {"intent", "request_type", "category1", "category2", "urgency"}
    assert all(set(entity) == {"type", "text", "start", "end"} for entity in found["entities"])
    assert all(entity["type"] in labels.ENTITY_TYPES for entity in found["entities"])


TWO_MATTERS = "楼下烧烤店的油烟把我家窗户都熏黑了，孩子天天咳嗽。另外我在工地干了三个月，老板一分钱工资都没给"


def test_two_matters_in_one_message_are_told_apart(reader: Reader) -> None:
    found = reader.read(TWO_MATTERS)
    assert len(found.requests) == 2
    assert "劳动和社会保障" in {request.category1.name for request in found.requests}
    assert (found.category1, found.category2) == (found.requests[0].category1, found.requests[0].category2)
    for request in found.requests:
        assert 0 <= request.start < request.end <= len(TWO_MATTERS)


@pytest.mark.parametrize("text", ["路灯坏了", COMPLAINT, "公积金怎么提取", ""])
def test_one_matter_stays_one(reader: Reader, text: str) -> None:
    (only,) = reader.read(text).requests
    assert (only.start, only.end) == (0, len(text))


def test_three_candidates_of_the_second_level_are_named(reader: Reader) -> None:
    found = reader.read("工地拖欠农民工工资")
    assert len(found.category2_ranking) == 3
    assert found.category2_ranking[0].name == "劳动和社会保障/工资福利"
    confidences = [label.confidence for label in found.category2_ranking]
    assert confidences == sorted(confidences, reverse=True)


def test_probabilities_of_a_head_sum_to_one(reader: Reader) -> None:
    names, found = reader.probabilities("request_type", ["请问低保怎么申请", "要表扬社区的小刘"])
    assert set(names) == set(labels.REQUEST_TYPES)
    assert found.shape == (2, len(names))
    assert found.sum(1) == pytest.approx([1, 1], abs=1e-4)
    assert [names[i] for i in found.argmax(1)] == ["咨询", "表扬"]
    texts = ["请问低保怎么申请", "要表扬社区的小刘"]
    again = reader.probabilities("request_type", texts, reader.encode(texts))[1]
    np.testing.assert_array_equal(again, found)
    assert reader.probabilities("intent", [])[1].shape == (0, len(reader.probabilities("intent", ["喂"])[0]))


def test_second_level_lies_within_the_first(reader: Reader, model_dir: Path) -> None:
    tree = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))["categories"]
    for text in (COMPLAINT, "低保被取消了", "公积金怎么提取", "老板拖欠工资"):
        found = reader.read(text)
        assert found.category2 is None or found.category2.name in tree[found.category1.name]


def test_threads_share_one_reader(reader: Reader) -> None:
    texts = [COMPLAINT, "转人工", "公积金怎么提取", "138****5678", "有煤气味"] * 6
    alone = [reader.read(text).as_dict() for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda text: reader.read(text).as_dict(), texts)) == alone


def test_many_are_read_as_one_by_one(reader: Reader) -> None:
    texts = [COMPLAINT, "你好", "医保卡丢了怎么办", ""]
    for alone, together in zip(map(reader.read, texts), reader.read_many(texts), strict=True):
        assert alone.intent.name == together.intent.name
        assert alone.entities == together.entities or [e.text for e in alone.entities] == [
            e.text for e in together.entities
        ]


def test_vectors_have_length_one_and_mean_something(reader: Reader) -> None:
    question, answer, other = (
        reader.embed(["公积金怎么提取"], "query"),
        *np.split(reader.embed(["提取住房公积金应当具备下列条件", "养犬人应当为犬只注射狂犬病疫苗"], "passage"), 2),
    )
    assert question.shape == (1, 384)
    assert question.dtype == np.float32
    for vector in (question, answer, other):
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
    assert (question @ answer.T).item() > (question @ other.T).item()
    assert reader.embed([], "query").shape == (0, 384)


def test_the_encoder_is_named_by_its_content(reader: Reader, model_dir: Path) -> None:
    from nlu.export import file_hash

    files = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))["files"]
    assert reader.encoder_id == files["encoder.onnx"]
    for name, digest in files.items():
        assert file_hash(model_dir / name) == digest


def test_a_missing_or_damaged_model_says_what_to_do(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(ModelError, match="make train"):
        Reader.load(tmp_path)
    shutil.copyfile(model_dir / "config.json", tmp_path / "config.json")
    with pytest.raises(ModelError, match="make train"):
        Reader.load(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"99.*Update"):
        Reader.load(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(ModelError, match="nlu train --encoder"):
        Reader.load(tmp_path)


def test_the_runtime_needs_nothing_but_numpy_onnxruntime_and_tokenizers() -> None:
    script = (
        "import sys, nlu.runtime;"
        "heavy = 'torch transformers sklearn scipy yaml typer sqlalchemy'.split();"
        "bad = [name for name in heavy if name in sys.modules];"
        "sys.exit(','.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_stretch_that_only_says_where_is_no_matter_of_its_own() -> None:
    text = "老板欠我们8个人工资，工地在郑东新区，另外物业乱收费没人管"
    label = runtime.Label("x", 0.9)
    place = runtime.Entity("place", "郑东新区", text.index("郑东新区"), text.index("郑东新区") + 4, 0.9)

    def tells(words: str) -> bool:
        start = text.index(words)
        return runtime._tells(text, runtime.Request(label, None, start, start + len(words)), [place])

    assert not tells("工地在郑东新区，")
    assert tells("另外物业乱收费没人管") and tells("老板欠我们8个人工资，")
