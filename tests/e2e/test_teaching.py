"""Staff teach the running assistant something new, and a resident meets it a moment later."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.additions.material import BIKES, DRONE_REPLY, DRONES, write_training_data
from tests.application import AppServer, serve

pytestmark = pytest.mark.engine


@pytest.fixture
def server(started_data: Path, tmp_path: Path) -> Iterator[AppServer]:
    """An application of its own, which learns from a part of the training data."""
    with serve(started_data, training_dir=str(write_training_data(tmp_path / "training_data"))) as server:
        yield server


def teach(server: AppServer, folder: Path, **content: object) -> dict[str, object]:
    file = folder / f"{content['name']}.yml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return dict(json.loads(server.command("nlu", "add", str(file), "--live", "--json")))


def hear_until(server: AppServer, text: str, words: str) -> str:
    """What a new resident hears; other processes follow a change within seconds."""
    deadline = time.monotonic() + 60
    while words not in (heard := server.resident().hear(text)):
        assert time.monotonic() < deadline, heard
        time.sleep(0.5)
    return heard


def test_what_was_taught_is_answered_and_filed(server: AppServer, tmp_path: Path) -> None:
    taught = teach(server, tmp_path, kind="intent", name="无人机登记", reply=DRONE_REPLY, examples=list(DRONES))
    assert taught["state"] == "已启用"
    hear_until(server, "航拍无人机要去登记吗", DRONE_REPLY)

    # In the middle of a request it is answered, and the form goes on.
    resident = server.resident()
    heard = resident.hear("金水区经三路12号乱收停车费，找物业好几次也不管")
    for _ in range(3):  # what the matter needs is asked first
        heard = heard if "电话" in heard else resident.hear("跳过")
    assert "电话" in heard
    assert DRONE_REPLY in resident.hear("航拍无人机要去登记吗")
    assert "经三路12号" in resident.hear("匿名")

    told = "金水区红专路3号门口的共享单车乱堆乱放，人都过不去"
    bikes = teach(
        server, tmp_path, kind="category", name="共享单车管理", level1="城乡建设", unit="市城市管理局",
        examples=list(BIKES),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while bikes["code"] not in httpx.get(f"{server.base_url}/desk/open311/v2/services.json", timeout=30).text:
        assert time.monotonic() < deadline, "the dispatch desk does not offer the new service"
        time.sleep(0.5)
    resident = server.resident()
    resident.hear(told)
    assert "共享单车管理" in resident.hear("匿名")
    [ticket] = [m["ticket"] for m in resident.say("确认提交")["messages"] if m["ticket"]]
    url = f"{server.base_url}/api/v1/tickets/{ticket['number']}"
    filed = httpx.get(url, headers=resident.headers, timeout=30).json()
    assert filed["category"] == {"level1": "城乡建设", "level2": "共享单车管理"}
    listed = json.loads(server.command("nlu", "additions", "--json"))
    assert {row["name"]: row["state"] for row in listed} == {"无人机登记": "已启用", "共享单车管理": "已启用"}


def test_a_file_with_a_mistake_names_the_line(server: AppServer, tmp_path: Path) -> None:
    file = tmp_path / "short.yml"
    examples = "\n".join(f"  - {text}" for text in (*DRONES, "飞"))
    file.write_text(f"kind: intent\nname: 无人机登记\nreply: 好\nexamples:\n{examples}\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"short\.yml:15: “飞”太短"):
        server.command("nlu", "add", str(file))
    assert json.loads(server.command("nlu", "additions", "--json")) == []
