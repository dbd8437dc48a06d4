"""Staff accounts: password hashes, strength, lockout, roles.

Passwords are hashed with Argon2id (RFC 9106, the library's defaults). There is no default account and no default
password. Every password check is counted before it is made, so many parallel guesses are limited like serial ones.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assistant.db.models import User, now
from assistant.db.session import Database
from assistant.errors import BadInput, Conflict, NotFound
from assistant.tickets.states import Role

ROLES: Final = {"agent": "座席", "editor": "知识编辑", "dispatcher": "派单员", "admin": "管理员"}
MAX_FAILED_LOGINS: Final = 5
LOCKOUT: Final = timedelta(minutes=15)
MIN_PASSWORD_CHARS: Final = 10
MAX_PASSWORD_CHARS: Final = 256
COMMON_WORDS: Final = ("password", "passw0rd", "qwerty", "admin", "minsheng", "123456", "12345678", "abc123", "mima")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{1,39}")
# Who acts beside staff in a ticket's history (assistant/tickets/states.py): nobody may go by these names.
_ACTORS = frozenset(role for role in Role if role is not Role.STAFF)
_hasher = PasswordHasher()
# Hashing takes 64 MiB: more than a few at once would let anybody who can reach the login page exhaust the memory.
_hashing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
_UNKNOWN_USER_HASH = _hasher.hash("no account has this password")


@dataclass(frozen=True, slots=True)
class StaffUser:
    """A member of staff as pages see it. `fingerprint` changes with the password, which ends older sessions."""

    id: int
    name: str
    display_name: str
    roles: frozenset[str]
    active: bool
    locked_until: datetime | None
    fingerprint: str

    def has_role(self, role: str) -> bool:
        """An administrator may open every page; what needs one role exactly asks `role in user.roles`."""
        return self.active and (role in self.roles or "admin" in self.roles)


class LoginRefused(Exception):
    """A login that failed. `reason`: unknown, password, disabled or locked; people are told only "locked" apart."""

    def __init__(self, reason: str, *, minutes: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.minutes = minutes


def check_password_strength(password: str, name: str) -> None:
    """Raises BadInput (Chinese, says what to change) for a password that is easy to guess.

    At least 10 characters with three of lower case, upper case, digit, other; or at least 16 characters. Not the
    user's name, not built on a common word, not fewer than 6 different characters.
    """
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise BadInput(f"密码长度应为 {MIN_PASSWORD_CHARS} 到 {MAX_PASSWORD_CHARS} 个字符。")
    kinds = (str.islower, str.isupper, str.isdigit, lambda c: not (c.isascii() and c.isalnum()))
    if sum(any(kind(c) for c in password) for kind in kinds) < 3 and len(password) < 16:
        raise BadInput("密码太简单：请混用大写字母、小写字母、数字、符号中的至少三种，或使用 16 个以上字符。")
    if len(set(password)) < 6:
        raise BadInput("密码太简单：重复的字符太多。")
    lowered = remainder = password.lower()
    if name.lower() in lowered:
        raise BadInput("密码不能包含用户名。")
    for word in COMMON_WORDS:
        remainder = remainder.replace(word, "")
    if remainder != lowered and len(remainder) < MIN_PASSWORD_CHARS - 2:
        raise BadInput("密码太简单：不要以常见密码为主体。")


class Users:
    """Accounts in the database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, name: str, display_name: str, password: str, roles: Iterable[str]) -> StaffUser:
        """Creates an account. Raises BadInput for a bad name, role or password, Conflict when the name is taken."""
        wanted = list(dict.fromkeys(roles))
        if not _NAME.fullmatch(name):
            raise BadInput("用户名应为 2 到 40 个字符，以字母开头，只含字母、数字、点、下划线和连字符。")
        if name.lower() in _ACTORS:
            raise BadInput(f"“{name}”是系统用的名称，请换一个用户名。")
        if not wanted:
            raise BadInput(f"请至少给一个角色：{'、'.join(ROLES)}。")
        for role in wanted:
            if role not in ROLES:
                raise BadInput(f"没有“{role}”这个角色，可选：{'、'.join(ROLES)}。")
        check_password_strength(password, name)
        password_hash = await _hash(password)
        async with self._db.begin() as session:
            if await session.scalar(select(User.id).where(User.name == name)) is not None:
                raise Conflict(f"用户名“{name}”已被使用。")
            user = User(
                name=name,
                display_name=(display_name.strip() or name)[:40],
                password_hash=password_hash,
                roles=wanted,
            )
            session.add(user)
            await session.flush()
            return _view(user)

    async def list(self) -> list[StaffUser]:
        async with self._db.read() as session:
            return [_view(user) for user in await session.scalars(select(User).order_by(User.name))]

    async def get(self, user_id: int) -> StaffUser | None:
        async with self._db.read() as session:
            user = await session.get(User, user_id)
            return _view(user) if user else None

    async def set_active(self, name: str, active: bool) -> StaffUser:
        """Disables or enables an account; a disabled user's open pages stop working at their next step."""
        async with self._db.begin() as session:
            user = await _by_name(session, name)
            user.active = active
            return _view(user)

    async def set_password(self, name: str, password: str) -> StaffUser:
        """Sets a password and lifts a lockout; sessions opened with the former password end."""
        check_password_strength(password, name)
        password_hash = await _hash(password)
        async with self._db.begin() as session:
            user = await _by_name(session, name)
            user.password_hash = password_hash
            user.failed_logins = 0
            user.locked_until = None
            return _view(user)

    async def authenticate(self, name: str, password: str) -> StaffUser:
        """The user whose password this is; raises LoginRefused. Takes as long for a name that does not exist."""
        stored = await self._count_attempt(name)
        if not await _verify(stored.password_hash if stored else _UNKNOWN_USER_HASH, password) or stored is None:
            raise LoginRefused("password" if stored else "unknown")
        if not stored.active:
            raise LoginRefused("disabled")
        fresh_hash = await _hash(password) if _hasher.check_needs_rehash(stored.password_hash) else None
        async with self._db.begin() as session:
            user = await session.get_one(User, stored.id)
            user.failed_logins = 0
            user.locked_until = None
            if fresh_hash:
                user.password_hash = fresh_hash
            return _view(user)

    async def _count_attempt(self, name: str) -> User | None:
        if not _NAME.fullmatch(name):
            return None
        async with self._db.begin() as session:
            user = await session.scalar(select(User).where(User.name == name).with_for_update())
            if user is None:
                return None
            moment = now()
            if user.locked_until is not None and user.locked_until > moment:
                minutes = int((user.locked_until - moment).total_seconds() // 60) + 1
                raise LoginRefused("locked", minutes=minutes)
            user.failed_logins += 1
            if user.failed_logins >= MAX_FAILED_LOGINS:
                user.failed_logins = 0
                user.locked_until = moment + LOCKOUT
            return user


async def _by_name(session: AsyncSession, name: str) -> User:
    user = await session.scalar(select(User).where(User.name == name).with_for_update())
    if user is None:
        raise NotFound(f"没有名为“{name}”的用户。")
    return user


async def _hash(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_hashing, _hasher.hash, password)


async def _verify(password_hash: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD_CHARS:
        return False
    try:
        return await asyncio.get_running_loop().run_in_executor(_hashing, _hasher.verify, password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _view(user: User) -> StaffUser:
    return StaffUser(
        id=user.id,
        name=user.name,
        display_name=user.display_name,
        roles=frozenset(user.roles),
        active=user.active,
        locked_until=user.locked_until,
        fingerprint=hashlib.sha256(user.password_hash.encode()).hexdigest()[:16],
    )
