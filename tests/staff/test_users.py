import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from assistant.db.models import User, now
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotFound
from assistant.staff.users import (
    MAX_FAILED_LOGINS,
    LoginRefused,
    Users,
    check_password_strength,
)

PASSWORD = "Jinshui-River-88"


async def refusal(users: Users, name: str, password: str) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        await users.authenticate(name, password)
    return caught.value


async def test_an_account_logs_in_with_its_password_only(db: Database) -> None:
    users = Users(db)
    made = await users.add("li.agent", "李座席", PASSWORD, ["agent", "editor"])
    assert (await users.authenticate("li.agent", PASSWORD)) == made
    assert made.roles == {"agent", "editor"}
    assert (await refusal(users, "li.agent", PASSWORD + "x")).reason == "password"
    assert (await refusal(users, "nobody", PASSWORD)).reason == "unknown"


@pytest.mark.parametrize("name", ["system", "Resident", "destination"])
async def test_nobody_goes_by_the_name_of_another_actor(db: Database, name: str) -> None:
    with pytest.raises(BadInput, match="系统用的名称"):
        await Users(db).add(name, "", PASSWORD, ["agent"])


async def test_the_stored_hash_is_argon2id_and_salted(db: Database) -> None:
    users = Users(db)
    await users.add("aa", "", PASSWORD, ["agent"])
    await users.add("bb", "", PASSWORD, ["agent"])
    async with db.read() as session:
        hashes = list(await session.scalars(select(User.password_hash)))
    assert all(h.startswith("$argon2id$") and PASSWORD not in h for h in hashes)
    assert len(set(hashes)) == 2


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("Short1!", "长度"),
        ("x" * 300, "长度"),
        ("alllowercase", "三种"),
        ("Aa1Aa1Aa1Aa1", "重复"),
        ("Wang.Wei-2026", "用户名"),
        ("Password2026!", "常见密码"),
        ("Admin123456!", "常见密码"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        check_password_strength(password, "wang.wei")


@pytest.mark.parametrize(
    "password", [PASSWORD, "correct horse battery staple", "花园路的银杏今年秋天黄了以后又绿了", "Zhengzhou#1"]
)
def test_a_good_password_is_taken(password: str) -> None:
    check_password_strength(password, "wang.wei")


@pytest.mark.parametrize(
    ("name", "roles"), [("", ["agent"]), ("1abc", ["agent"]), ("a b", ["agent"]), ("good", []), ("good", ["root"])]
)
async def test_bad_names_and_roles_are_refused(db: Database, name: str, roles: list[str]) -> None:
    with pytest.raises(BadInput):
        await Users(db).add(name, "", PASSWORD, roles)
    assert await Users(db).list() == []


async def test_a_name_is_given_once(db: Database) -> None:
    users = Users(db)
    await users.add("li", "", PASSWORD, ["agent"])
    with pytest.raises(Conflict):
        await users.add("li", "", PASSWORD, ["admin"])
    assert [user.roles for user in await users.list()] == [{"agent"}]


async def test_repeated_failures_lock_even_the_right_password_for_a_while(db: Database) -> None:
    users = Users(db)
    await users.add("li", "", PASSWORD, ["agent"])
    for _ in range(MAX_FAILED_LOGINS):
        assert (await refusal(users, "li", "wrong")).reason == "password"
    locked = await refusal(users, "li", PASSWORD)
    assert locked.reason == "locked" and 1 <= locked.minutes <= 15
    async with db.begin() as session:
        await session.execute(update(User).values(locked_until=now() - timedelta(seconds=1)))
    assert (await users.authenticate("li", PASSWORD)).locked_until is None


async def test_a_success_forgets_earlier_failures(db: Database) -> None:
    users = Users(db)
    await users.add("li", "", PASSWORD, ["agent"])
    for _ in range(2):
        for _ in range(MAX_FAILED_LOGINS - 1):
            await refusal(users, "li", "wrong")
        await users.authenticate("li", PASSWORD)


async def test_parallel_guesses_are_limited_like_serial_ones(db: Database) -> None:
    users = Users(db)
    await users.add("li", "", PASSWORD, ["agent"])
    refusals = await asyncio.gather(*(refusal(users, "li", f"guess-{n}") for n in range(MAX_FAILED_LOGINS + 4)))
    reasons = [r.reason for r in refusals]
    assert reasons.count("password") == MAX_FAILED_LOGINS
    assert reasons.count("locked") == 4


async def test_a_disabled_account_is_refused_and_a_new_password_lifts_a_lockout(db: Database) -> None:
    users = Users(db)
    before = await users.add("li", "", PASSWORD, ["agent"])
    await users.set_active("li", False)
    assert (await refusal(users, "li", PASSWORD)).reason == "disabled"
    assert not (await users.list())[0].has_role("agent")
    await users.set_active("li", True)
    for _ in range(MAX_FAILED_LOGINS):
        await refusal(users, "li", "wrong")
    await users.set_password("li", PASSWORD + "-2")
    after = await users.authenticate("li", PASSWORD + "-2")
    assert after.fingerprint != before.fingerprint
    with pytest.raises(NotFound):
        await users.set_password("nobody", PASSWORD)


async def test_an_administrator_opens_every_page_but_has_only_named_roles(db: Database) -> None:
    user = await Users(db).add("boss", "", PASSWORD, ["admin"])
    assert user.has_role("agent") and user.has_role("dispatcher")
    assert "dispatcher" not in user.roles
