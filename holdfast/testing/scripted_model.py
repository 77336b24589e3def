"""A scripted model on a real port, speaking the chat-completions wire format.

`answer` decides what is said: a function of the request's JSON body (plain or async), or a list of
replies in the order of the calls. Other processes can call it, too. A script that raises makes the
request fail with 500, and the exception is raised again when the server is left (or noted, where another is
raised).

    async with ScriptedModel(lambda request: text("Hello")) as model:
        provider = Provider(name="scripted", base_url=model.base_url, model="scripted")
"""

import asyncio
import inspect
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.domain.ids import json_digest

PROMPT_TOKENS = 100
COMPLETION_TOKENS = 20

_OF_PROVIDER = {"model", "reasoning_effort"}


@dataclass(frozen=True)
class ModelReply:
    """What goes back over the wire. `delay` is in seconds; `hold` keeps it until it is released. `raw` is
    sent in place of the body's JSON."""

    body: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hold: "Hold | None" = None
    raw: bytes | None = None

    def after(self, seconds: float) -> "ModelReply":
        """The same reply, sent later."""
        return replace(self, delay=seconds)

    def held(self, hold: "Hold") -> "ModelReply":
        """The same reply, sent when `hold` is released."""
        return replace(self, hold=hold)


class Hold:
    """Keeps calls in flight: wait for `arrived`, do what has to happen meanwhile, `release`."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()

    def release(self) -> None:
        self.released.set()


Answer = Callable[[dict[str, Any]], ModelReply | Awaitable[ModelReply]]


def text(content: str | None, *, model: str = "scripted", **message: Any) -> ModelReply:
    """An answer in words."""
    return _completion({"role": "assistant", "content": content, **message}, "stop", model)


def structured(value: BaseModel | Mapping[str, Any], *, model: str = "scripted") -> ModelReply:
    """An answer in JSON, for a request with a schema."""
    if isinstance(value, BaseModel):
        return text(value.model_dump_json(), model=model)
    return text(json.dumps(value), model=model)


def tool_calls(
    *calls: tuple[str, Mapping[str, Any] | str], content: str | None = None, model: str = "scripted"
) -> ModelReply:
    """Calls of tools, each a name and its arguments; a string goes out as it is, JSON or not."""
    described = [
        {
            "id": f"call_{index}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
            },
        }
        for index, (name, arguments) in enumerate(calls, start=1)
    ]
    message = {"role": "assistant", "content": content, "tool_calls": described}
    return _completion(message, "tool_calls", model)


def failure(status: int, *, retry_after: float | str | None = None) -> ModelReply:
    """An error of the provider."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    body = {"error": {"message": f"scripted failure {status}", "type": "scripted"}}
    return ModelReply(body, status=status, headers=headers)


def with_usage(reply: ModelReply, *, prompt: int, completion: int, cached: int = 0) -> ModelReply:
    """The same reply with other token counts."""
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return replace(reply, body={**reply.body, "usage": usage})


def last_message(request: Mapping[str, Any]) -> str:
    """The text of a request's last message."""
    content = request["messages"][-1].get("content")
    return content if isinstance(content, str) else ""


def request_digest(request: Mapping[str, Any]) -> str:
    """The digest under which the ledger keeps a call: of everything that is not the provider's."""
    return json_digest({key: value for key, value in request.items() if key not in _OF_PROVIDER})


class ScriptedModel:
    """The server: `async with` starts it on a free port of 127.0.0.1.

    It runs in the event loop of the test, so the test must not block that loop.
    """

    def __init__(self, answer: Answer | Sequence[ModelReply]) -> None:
        self.answer: Answer = answer if callable(answer) else in_order(answer)
        self.requests: list[dict[str, Any]] = []
        """The bodies of all calls, in the order of their arrival."""
        self.paths: list[str] = []
        """The path and query of each."""
        self.calls: Counter[str] = Counter()
        """How often each request arrived, by `request_digest`."""
        self._errors: list[Exception] = []
        app = Starlette(routes=[Route("/{path:path}", self._respond, methods=["POST"])])
        self._server = _Server(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=0,
                log_level="critical",
                lifespan="off",
                access_log=False,
                timeout_graceful_shutdown=0,  # calls that are still held are cancelled
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """What a provider of the kind `openai` is given."""
        return f"{self.origin}/v1"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def tool_answers(self) -> list[str]:
        """What the latest request says that tools have answered."""
        messages = self.requests[-1]["messages"]
        return [one["content"] for one in messages if one["role"] == "tool"]

    @property
    def most_repeated(self) -> int:
        """How often the request that came most often came."""
        return max(self.calls.values(), default=0)

    async def __aenter__(self) -> "ScriptedModel":
        self._serving = asyncio.create_task(self._server.serve())
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            ready.cancel()
            await self._serving
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._serving is not None
        self._server.should_exit = True
        await self._serving
        for raised in self._errors:
            if error is None:
                raise raised
            error.add_note(f"the script raised {raised!r}")

    async def _respond(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        query = f"?{request.url.query}" if request.url.query else ""
        self.requests.append(body)
        self.paths.append(f"{request.url.path}{query}")
        self.calls[request_digest(body)] += 1
        try:
            reply = self.answer(body)
            if inspect.isawaitable(reply):
                reply = await reply
        except Exception as error:
            self._errors.append(error)
            reply = failure(500)
        if reply.hold is not None:
            reply.hold.arrived.set()
            await reply.hold.released.wait()
        if reply.delay:
            await asyncio.sleep(reply.delay)
        return Response(
            json.dumps(dict(reply.body)) if reply.raw is None else reply.raw,
            status_code=reply.status,
            headers=dict(reply.headers),
            media_type="application/json",
        )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Signals stay with the test."""
        return nullcontext()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def in_order(replies: Sequence[ModelReply]) -> Answer:
    """A script that gives these replies, one for each call."""
    remaining = iter(replies)

    def next_reply(_: dict[str, Any]) -> ModelReply:
        try:
            return next(remaining)
        except StopIteration:
            raise AssertionError(f"the script has only {len(replies)} replies") from None

    return next_reply


def _completion(message: Mapping[str, Any], finish_reason: str, model: str) -> ModelReply:
    return ModelReply(
        {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
            "usage": {
                "prompt_tokens": PROMPT_TOKENS,
                "completion_tokens": COMPLETION_TOKENS,
                "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
            },
        }
    )
