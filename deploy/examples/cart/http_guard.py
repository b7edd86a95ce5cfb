"""HttpGuard: what every HTTP request passes before the application sees it. An ASGI middleware.

It bounds what strangers can make the backend hold: requests at once, bytes of a body, and the time
that a body may take to arrive. It answers 503 with Retry-After, 413, 411 and 408 by itself, in the
same JSON as the application's errors, and puts the headers on each response that keep a browser
from loading anything from elsewhere.

Thread rule: the event loop.
"""

import asyncio
import json

MAX_AT_ONCE = 256
MAX_BODY_BYTES = 16 * 1024
BODY_WITHIN_S = 10.0

HEADERS = [
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


def error_body(code: str, message: str) -> dict:
    """What every failed request is answered with."""
    return {"error": {"code": code, "message": message}}


class HttpGuard:
    def __init__(self, app):
        self._app = app
        self._at_once = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message):
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        if self._at_once >= MAX_AT_ONCE:
            await _refuse(send_guarded, 503, "busy", f"{MAX_AT_ONCE} requests are under way")
            return
        self._at_once += 1
        try:
            await self._admit(scope, receive, send_guarded)
        finally:
            self._at_once -= 1

    async def _admit(self, scope, receive, send):
        headers = dict(scope["headers"])
        if b"transfer-encoding" in headers:
            await _refuse(send, 411, "length_required", "a body needs a Content-Length")
            return
        if int(headers.get(b"content-length", b"0")) > MAX_BODY_BYTES:
            await _refuse(send, 413, "too_large", f"a body has at most {MAX_BODY_BYTES} bytes")
            return
        try:
            body = await asyncio.wait_for(_whole_body(receive), BODY_WITHIN_S)
        except asyncio.TimeoutError:
            await _refuse(send, 408, "too_slow", f"a body arrives within {BODY_WITHIN_S:.0f} s")
            return
        if body is None:
            return

        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_read():
            return pending.pop() if pending else await receive()

        await self._app(scope, receive_read, send)


async def _whole_body(receive) -> bytes | None:
    """None when the client left before its body was whole."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _refuse(send, status: int, code: str, message: str) -> None:
    body = json.dumps(error_body(code, message)).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close"),
               (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
