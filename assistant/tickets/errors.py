"""What can be wrong with an operation on a ticket. Each carries Chinese words for the person and an HTTP status."""

from collections.abc import Sequence

from assistant.errors import BadInput, Conflict, NotFound

__all__ = [
    "IncompleteDraft",
    "InvalidDraft",
    "KeyReused",
    "TicketChanged",
    "TicketConflict",
    "TicketNotFound",
    "TransitionRefused",
]

_FIELDS = {
    "description": "诉求内容",
    "request_type": "诉求类型",
    "category": "类别",
    "place": "地点",
    "contact": "联系电话",
}


class IncompleteDraft(BadInput):
    """`missing`: description, request_type, category, place, contact, in the order to ask."""

    code = "incomplete_draft"

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__("还缺：" + "、".join(_FIELDS[name] for name in missing) + "。")
        self.missing = tuple(missing)


class InvalidDraft(BadInput):
    """A value of the draft is none that the city knows."""

    code = "invalid_draft"


class KeyReused(Conflict):
    """The same idempotency key came with another content."""

    code = "key_reused"
    detail = "这个请求编号已经用于另一项内容，请重新提交。"


class TicketNotFound(NotFound):
    code = "ticket_not_found"
    detail = "没有找到这张工单，请核对编号。"


class TransitionRefused(Conflict):
    """The ticket's state does not allow the operation. `state` is the state it is in."""

    code = "transition_refused"

    def __init__(self, operation: str, state: str) -> None:
        super().__init__(f"工单现在是“{state}”，不能{operation}。")
        self.state = str(state)
        self.facts = {"state": self.state}


class TicketChanged(Conflict):
    """Somebody else changed the ticket since the actor looked at it. `state` is the state it is in now."""

    code = "ticket_changed"

    def __init__(self, state: str) -> None:
        super().__init__(f"工单已被他人处理，当前状态是“{state}”，请看过最新情况再操作。")
        self.state = str(state)
        self.facts = {"state": self.state}


class TicketConflict(Conflict):
    """Others changed the ticket again and again in the same moment."""

    code = "ticket_conflict"
