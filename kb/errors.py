"""What can go wrong in the knowledge base, in words for the policy editor."""

from assistant.errors import MinshengError


class KbError(MinshengError):
    """Base of the errors of this room."""

    status = 422
    code = "kb"
    detail = "知识库无法完成这个操作。"


class FileRefused(KbError):
    """A file cannot be imported; `detail` is the reason and `name` the file."""

    code = "file_refused"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}：{reason}")
        self.name = name
        self.reason = reason


class InvalidDocument(KbError):
    """A document lacks a title or text, or a field has a value it cannot have."""

    code = "invalid_document"


class DocumentExists(KbError):
    status = 409
    code = "document_exists"
    detail = "这个编号的文件已经存在。"


class DocumentChanged(KbError):
    """Somebody else changed the document after the one who wants to change it had opened it.

    `version`: the version it has now. `by`: who made it, None where that is not known.
    """

    status = 409
    code = "document_changed"

    def __init__(self, version: int, by: str | None) -> None:
        who = f"被 {by} " if by else ""
        super().__init__(f"这份文件在您打开之后{who}改过，现在是第 {version} 版。您填写的内容还在。")
        self.version = version
        self.by = by


class MoveRefused(KbError):
    """The status of a document may not be changed in this way, or something it needs is missing."""

    status = 409
    code = "move_refused"


class VersionNotFound(KbError):
    status = 404
    code = "version_not_found"
    detail = "没有这一版。"


class DocumentNotFound(KbError):
    status = 404
    code = "document_not_found"
    detail = "没有找到这份文件。"


class EncoderMismatch(KbError):
    """The encoder returned vectors of another shape than it should."""

    status = 500
    code = "encoder_mismatch"
    detail = "语言模型返回的向量不符合要求。"
