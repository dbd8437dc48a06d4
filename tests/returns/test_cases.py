"""What the history says of returns."""

from assistant.returns.cases import returns_of
from assistant.tickets.model import Candidate, HistoryEntry, Routing
from assistant.tickets.states import State
from tests.returns.build import step, ticket

SUBMIT = step("submit", "resident", State.TO_ACCEPT, changes={"lead_unit": "甲局"})
RETURN = step("return", "destination:desk", State.RETURNED, hours=1, reason_code="权属不清", note="不归我们")
RULE = step("rule", "system", State.TO_DISPATCH, hours=1)


def assign(unit: str, hours: float) -> HistoryEntry:
    changes = {"unit": unit, "lead_unit": unit}
    return step("assign", "zhao", State.DISPATCHED, hours=hours, note="理由", changes=changes)


def test_each_return_has_its_unit_and_its_ruling() -> None:
    second = step("return", "zhao", State.RETURNED, hours=5, reason_code="职能交叉")
    history = [SUBMIT, RETURN, RULE, assign("乙局", 3), second, assign("丙局", 9)]
    first, last = returns_of(ticket(), history)
    assert (first.unit, first.reason_code, first.ruled_unit) == ("甲局", "权属不清", "乙局")
    assert first.ruling is not None and (first.ruling.actor, first.ruling.note) == ("zhao", "理由")
    assert (last.unit, last.reason_code, last.ruled_unit) == ("乙局", "职能交叉", "丙局")
    assert not first.waiting and not last.waiting


def test_the_same_unit_may_be_ruled_to_take_it() -> None:
    again = step("assign", "zhao", State.DISPATCHED, hours=2, changes={"unit": "甲局"})  # nothing about it changed
    [case] = returns_of(ticket(), [SUBMIT, RETURN, RULE, again])
    assert (case.unit, case.ruled_unit) == ("甲局", "甲局")


def test_without_a_ruling_somebody_waits_or_it_ended_otherwise() -> None:
    [waiting] = returns_of(ticket(state=State.TO_DISPATCH), [SUBMIT, RETURN, RULE])
    assert waiting.waiting and waiting.ruled_unit is None
    withdrawn = step("withdraw", "resident", State.WITHDRAWN, hours=2)
    [ended] = returns_of(ticket(state=State.WITHDRAWN), [SUBMIT, RETURN, RULE, withdrawn])
    assert not ended.waiting and ended.ruled_unit is None


def test_a_transfer_by_itself_is_no_ruling() -> None:
    by_itself = step(
        "transfer", "system:clock", State.DISPATCHED, hours=2, changes={"unit": "乙局", "lead_unit": "乙局"}
    )
    later = step("return", "destination:desk", State.RETURNED, hours=4, reason_code="属地不符")
    first, last = returns_of(ticket(), [SUBMIT, RETURN, by_itself, later, assign("丙局", 5)])
    assert first.ruled_unit is None and (last.unit, last.ruled_unit) == ("乙局", "丙局")


def test_of_old_tickets_the_matrix_says_where_they_went() -> None:
    bare = step("submit", "resident", State.DISPATCHED)
    routing = Routing("", 0.9, (Candidate("甲局", "供水", 0.9),), review=False)
    [case] = returns_of(ticket(routing=routing), [bare, RETURN, assign("乙局", 2)])
    assert case.unit == "甲局"
    assert returns_of(ticket(), [SUBMIT]) == []
