"""Regression cases: questions whose answer must stay right, asked the way the chat asks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from assistant.db.models import KbCase, KbDocument
from assistant.db.session import Database
from kb.answer import Answer
from kb.errors import DocumentNotFound, KbError

NOT_KNOWN = "应当说不知道"
Ask = Callable[[str], Awaitable[Answer]]
Progress = Callable[[int, int], None]
_MAX_CHARS = 500
_OUTCOMES = {"ask": "反问", "not_found": "说不知道"}


class CaseExists(KbError):
    status = 409
    code = "case_exists"
    detail = "这个问题已经是回归用例。"


class CaseNotFound(KbError):
    status = 404
    code = "case_not_found"
    detail = "没有找到这条回归用例。"


@dataclass(frozen=True, slots=True)
class Case:
    """`document_id` None: the base must say that it does not know. `title`: of the document, where it still exists."""

    id: int
    question: str
    document_id: str | None
    article: str | None
    created_by: str
    created_at: datetime
    title: str | None = None

    @property
    def expected(self) -> str:
        return _place(self.title or self.document_id, self.article) if self.document_id else NOT_KNOWN

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.id,
            "question": self.question,
            "document": self.document_id,
            "article": self.article,
            "expected": self.expected,
            "created_by": self.created_by,
            "created_at": self.created_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What a case got. `got`: in Chinese, what was answered from."""

    case: Case
    passed: bool
    got: str
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.case.as_dict(),
            "passed": self.passed,
            "got": self.got,
            "confidence": round(self.confidence, 4),
        }


class Cases:
    """The stored cases. `ask`: the knowledge base's `answer`."""

    def __init__(self, db: Database, ask: Ask) -> None:
        self._db, self._ask = db, ask

    async def add(self, question: str, document_id: str | None, article: str | None, *, by: str) -> Case:
        """Keep a question. Raises CaseExists, DocumentNotFound, KbError."""
        asked = question.strip()
        if not asked or len(asked) > _MAX_CHARS:
            raise KbError(f"问题要有 1 到 {_MAX_CHARS} 个字。")
        if document_id is None and article is not None:
            raise KbError("写了条款，也要写是哪份文件。")
        try:
            async with self._db.begin() as session:
                if document_id is not None and await session.get(KbDocument, document_id) is None:
                    raise DocumentNotFound(f"没有编号为 {document_id} 的文件。")
                row = KbCase(question=asked, document_id=document_id, article=article or None, created_by=by[:40])
                session.add(row)
                await session.flush()
                number = row.id
        except IntegrityError:
            raise CaseExists from None
        return next(case for case in await self.listed() if case.id == number)

    async def remove(self, case_id: int) -> None:
        """Raises CaseNotFound."""
        async with self._db.begin() as session:
            if await session.get(KbCase, case_id) is None:
                raise CaseNotFound
            await session.execute(delete(KbCase).where(KbCase.id == case_id))

    async def listed(self) -> list[Case]:
        """All cases, the latest first."""
        query = (
            select(KbCase, KbDocument.title)
            .outerjoin(KbDocument, KbDocument.id == KbCase.document_id)
            .order_by(KbCase.id.desc())
        )
        async with self._db.read() as session:
            return [
                Case(c.id, c.question, c.document_id, c.article, c.created_by, c.created_at, title)
                for c, title in await session.execute(query)
            ]

    async def run(self, *, progress: Progress | None = None) -> list[Result]:
        """Ask every case once, one after another; failures first."""
        cases = await self.listed()
        results = []
        for number, case in enumerate(cases, start=1):
            results.append(judge(case, await self._ask(case.question)))
            if progress:
                progress(number, len(cases))
        return sorted(results, key=lambda result: result.passed)


def judge(case: Case, answer: Answer) -> Result:
    """Whether the answer cites the document (and article) of the case, or rightly says that nothing was found."""
    cited = [(c.document, c.article) for c in answer.citations]
    if case.document_id is None:
        passed = answer.outcome == "not_found"
    else:
        passed = answer.outcome == "answered" and any(
            document == case.document_id and case.article in (None, article) for document, article in cited
        )
    return Result(case, passed, got_of(answer), answer.confidence)


def got_of(answer: Answer) -> str:
    """What was answered from, in Chinese."""
    if answer.outcome != "answered":
        return _OUTCOMES[answer.outcome]
    return "；".join(dict.fromkeys(_place(c.title, c.article) for c in answer.citations))


def expectations(answer: Answer, *, limit: int = 5) -> Sequence[tuple[str | None, str | None, str]]:
    """What a case of this question may expect: (document, article, in Chinese), what was answered now first."""
    found: dict[tuple[str | None, str | None], str] = {}
    for c in answer.citations:
        found[c.document, c.article] = _place(c.title, c.article)
    unknown: dict[tuple[str | None, str | None], str] = {(None, None): NOT_KNOWN}
    if answer.outcome == "not_found":
        found |= unknown
    for hit in answer.hits[:limit]:
        found.setdefault((hit.document.id, hit.article), _place(hit.document.title, hit.article))
    return [(document, article, words) for (document, article), words in (found | unknown).items()]


def _place(title: str | None, article: str | None) -> str:
    return f"《{title}》" + (f" {article}" if article else "")
