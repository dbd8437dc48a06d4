"""What is said of an entry: buttons below an answer that cites it, and a card on the entry's page."""

from typing import Any

from nicegui import ui

from assistant.staff.labels import local_time
from assistant.staff.pages.parts import Text, box, card, tag
from assistant.staff.pages.visit import Visit
from kb import feedback
from kb.feedback import SOURCES, VERDICTS

_TONES = {"helpful": "good", "wrong": "bad", "outdated": "warn"}
_SHOWN = 20


class Verdicts:
    """有用, 不对, 过时 for each citation of one message of the assistant; the one given stays pressed."""

    def __init__(self, visit: Visit, message_id: int, citations: list[dict[str, Any]]) -> None:
        self.visit = visit
        self._message_id = message_id
        self._citations = citations
        self._buttons: dict[tuple[int, str], Text] = {}

    def open(self, number: int) -> None:
        """Draw the buttons of one citation (from 0)."""
        citation = self._citations[number]
        if not citation.get("document"):
            return
        about = f"《{citation.get('title', '')}》{citation.get('article') or ''}"
        with box("verdicts").props(f'role="group" aria-label="这条依据：{_plain(about)}"'):
            for verdict, name in VERDICTS.items():
                control = Text("button", name, "verdict").props('type="button" aria-pressed="false"')
                control.on("click", self.visit.step(self._giving(number, verdict)))
                self._buttons[number, verdict] = control

    async def load(self) -> None:
        """Press what this user said before."""
        keys = {self._key(number): number for number, _ in self._buttons}
        async with self.visit.services.db.read() as session:
            given = await feedback.verdicts_of(session, list(keys))
        for key, verdict in given.items():
            self._press(keys[key], verdict)

    def _giving(self, number: int, verdict: str) -> Any:
        async def give() -> None:
            citation = self._citations[number]
            await self.visit.services.kb.feedback(
                self._key(number), citation["document"], citation.get("article"), verdict, None, "agent"
            )
            await self.visit.audit("kb.feedback", citation["document"])
            self._press(number, verdict)
            told = "谢谢，已记到这份文件上。" if verdict == "helpful" else "已记到这份文件上，并列入体检，请编辑核对。"
            ui.notify(told, type="positive", position="top")

        return give

    def _press(self, number: int, verdict: str) -> None:
        for name in VERDICTS:
            self._buttons[number, name].props(f'aria-pressed="{"true" if name == verdict else "false"}"')

    def _key(self, number: int) -> str:
        return f"agent:{self.visit.user.id}:{self._message_id}:{number}"


async def draw_feedback(visit: Visit, document_id: str) -> None:
    """A card with what residents and agents said of an entry; nothing where nobody said anything."""
    async with visit.services.db.read() as session:
        counted = await feedback.counts(session, document_id)
        said = await feedback.of_document(session, document_id, limit=_SHOWN)
    if not said:
        return
    with card("居民和座席的评价", classes="feedback-card"):
        with box("line"):
            for verdict, name in VERDICTS.items():
                if counted.get(verdict):
                    tag(f"{name} {counted[verdict]}", _TONES[verdict])
        with box("feedback-list", "ul"):
            for one in said:
                with box(tag="li"):
                    with box("line"):
                        tag(VERDICTS[one.verdict], _TONES[one.verdict])
                        Text(
                            "span",
                            f"{SOURCES[one.source]} · {one.article or '全文'} · {local_time(one.created_at)}",
                            "muted",
                        )
                    if one.comment:
                        Text("p", one.comment, "pre")


def _plain(text: str) -> str:
    """For an attribute that is given in quotes."""
    return text.replace('"', "”")
