"""Errors of the HTTP API as `application/problem+json` (RFC 9457), with a Chinese detail and nothing of the input."""

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from assistant.errors import MinshengError

log = structlog.get_logger()

_TITLES = {
    400: "请求格式不对",
    401: "身份凭证无效",
    403: "没有权限",
    404: "没有找到",
    405: "不支持这种请求",
    409: "内容冲突",
    413: "内容太长",
    415: "格式不支持",
    422: "内容有误",
    429: "请求太频繁",
    503: "服务正在恢复",
}


def problem(
    status: int, detail: str, code: str, headers: dict[str, str] | None = None, facts: Mapping[str, str] | None = None
) -> JSONResponse:
    """`facts`: further members of the document, such as the state that refused an operation."""
    body = {
        **(facts or {}),
        "type": "about:blank",
        "title": _TITLES.get(status, "系统出错"),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the application in one form."""

    async def ours(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, MinshengError)
        headers = {"Retry-After": "5"} if error.status == 429 else None
        if error.status == 401:
            headers = {"WWW-Authenticate": "Bearer"}
        return problem(error.status, error.detail, error.code, headers, error.facts)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        kinds: list[Any] = [item.get("type") for item in error.errors()]
        if "json_invalid" in kinds:
            return problem(400, "请求内容不是有效的JSON。", "invalid_json")
        fields = sorted({str(item["loc"][-1]) for item in error.errors() if item.get("loc")})
        return problem(422, f"以下字段缺失或类型不对：{'、'.join(fields)}。", "invalid_field")

    async def http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, _TITLES.get(error.status_code, "请求无法处理") + "。", "http", error.headers)  # type: ignore[arg-type]

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        route = request.scope.get("route")
        log.error("request_failed", route=getattr(route, "path", "-"), error=type(error).__name__, exc_info=error)
        return problem(500, MinshengError.detail, "internal")

    app.add_exception_handler(MinshengError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)
