"""Errors that a person is told about.

Each carries the words for that person (Chinese for residents and staff) and the HTTP status the API answers with.
Nothing a resident wrote goes into an error.
"""


class MinshengError(Exception):
    """Base of every error the application raises on purpose.

    `facts`: what a program needs to go on, further members of the answer's problem document.
    """

    status = 500
    code = "internal"
    detail = "系统出了点问题，请稍后再试。"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail
        self.facts: dict[str, str] = {}


class NotFound(MinshengError):
    status = 404
    code = "not_found"
    detail = "没有找到您要的内容。"


class NotAllowed(MinshengError):
    status = 403
    code = "not_allowed"
    detail = "您没有权限做这件事。"


class NotAuthenticated(MinshengError):
    status = 401
    code = "not_authenticated"
    detail = "身份凭证无效，请重新打开页面。"


class BadInput(MinshengError):
    status = 422
    code = "bad_input"
    detail = "这条内容无法处理，请检查后再发。"


class Conflict(MinshengError):
    status = 409
    code = "conflict"
    detail = "内容已经被别人改过，请刷新后再试。"


class TooMany(MinshengError):
    status = 429
    code = "too_many"
    detail = "您发得太快了，请稍等几秒再发。"


class ConfigError(Exception):
    """A file an operator wrote is wrong; the message names file, line and remedy."""
