"""The offline model on the wire: OpenAI's forms, and nothing else."""

import httpx2
import openai
import pytest

from holdfast.llm.offline import MODEL, OfflineTransport
from tests.llm.offline.conftest import Connect

URL = "http://offline/v1/chat/completions"
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}


async def test_an_answer_announces_the_rules_and_counts_tokens(connect: Connect) -> None:
    answer = await connect().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello"}]
    )

    assert answer.model == MODEL
    assert answer.system_fingerprint
    assert "offline" in answer.system_fingerprint
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.choices[0].message.content or "").startswith("Hello")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_equal_requests_get_equal_bytes() -> None:
    async with httpx2.AsyncClient(transport=OfflineTransport()) as client:
        first, second = await client.post(URL, json=HELLO), await client.post(URL, json=HELLO)

    assert first.content == second.content


async def test_the_models_are_listed(connect: Connect) -> None:
    assert [model.id async for model in connect().models.list()] == [MODEL]


async def test_another_path_is_not_found_in_the_form_of_openai(connect: Connect) -> None:
    with pytest.raises(openai.NotFoundError, match="embeddings"):
        await connect().embeddings.create(model=MODEL, input="text")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stream": True}, "stream"),
        ({"n": 2}, "`n`"),
        ({"messages": []}, "messages"),
        ({"response_format": {"type": "json_object"}}, "json_schema"),
    ],
)
async def test_what_it_cannot_do_is_refused_by_name(change: dict[str, object], named: str) -> None:
    async with httpx2.AsyncClient(transport=OfflineTransport()) as client:
        refused = await client.post(URL, json={**HELLO, **change})

    assert refused.status_code == 400
    assert named in refused.json()["error"]["message"]
    assert refused.json()["error"]["type"] == "invalid_request_error"


async def test_it_says_what_it_is_when_asked(connect: Connect) -> None:
    answer = await connect().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Are you a robot?"}]
    )

    assert "offline model" in (answer.choices[0].message.content or "")
