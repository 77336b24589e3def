"""The section `search`: what the longest messages cost over a large help centre."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

from bench.report import Ratio, Section, Table, percentile
from bench.stack import BenchStack, bench_stack
from holdfast.knowledge.articles import read_articles
from holdfast.store.knowledge import load_articles, search
from holdfast.store.pool import open_pool

NAME = "search"

_TENANT = "search"
_CHUNKS_AN_ARTICLE = 20
_AIM_MS = 50.0
_LONGEST = 16_000
_WORDS = 20_000

_HOW = """\
A help centre of {chunks:,} passages of 150 words, of a vocabulary of {words:,} in which the nth most frequent \
word has a share of 1/n (Zipf). Messages of up to {longest:,} characters, each kind {times} times with other \
words, over one connection that may only read."""


async def measure(*, quick: bool) -> Section:
    """Search a large help centre for the worst that a customer can write."""
    chunks, times = (1_000, 5) if quick else (10_000, 60)
    async with bench_stack() as stack:
        vocabulary = [f"w{number}x" for number in range(_WORDS)]
        await _load(stack, vocabulary, chunks)
        return await _measured(stack, vocabulary, chunks, times)


async def _load(stack: BenchStack, vocabulary: list[str], chunks: int) -> None:
    folder = stack.folder / "articles"
    folder.mkdir()
    chance = random.Random(1)
    for number in range(chunks // _CHUNKS_AN_ARTICLE):
        _write(folder / f"a{number}.md", chance, vocabulary)
    async with stack.database.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await load_articles(connection, _TENANT, _TENANT, read_articles(folder))


def _write(path: Path, chance: random.Random, vocabulary: list[str]) -> None:
    sections = (
        f"## {' '.join(_said(chance, vocabulary, 5))}\n\n{' '.join(_said(chance, vocabulary, 150))}"
        for _ in range(_CHUNKS_AN_ARTICLE)
    )
    path.write_text(f"# {path.stem}\n\n" + "\n\n".join(sections))


def _said(chance: random.Random, vocabulary: list[str], count: int) -> list[str]:
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    return chance.choices(vocabulary, weights, k=count)


def _messages(vocabulary: list[str], seed: int) -> Iterator[tuple[str, str]]:
    """Messages by what is bad about them."""
    chance = random.Random(seed)
    yield "a question of ten words", " ".join(_said(chance, vocabulary, 10))
    yield "the most frequent word", vocabulary[0]
    yield "one word, repeated", f"{vocabulary[chance.randrange(10)]} " * 5_000
    yield "frequent words, repeated", " ".join(chance.choices(vocabulary[:40], k=5_000))
    yield "frequent words, all different", " ".join(vocabulary[: chance.randrange(2_000, 4_000)])
    yield "rare words, all different", " ".join(chance.sample(vocabulary, 3_000))
    yield "as the articles are written", " ".join(_said(chance, vocabulary, 5_000))
    yield "words that nobody wrote", " ".join(f"q{chance.random()}" for _ in range(1_000))
    yield "no words", "".join(chance.choices("!&|<->:*'\\()", k=_LONGEST))


async def _measured(stack: BenchStack, vocabulary: list[str], chunks: int, times: int) -> Section:
    assert stack.settings.database_url is not None
    url = stack.settings.database_url.get_secret_value()
    seconds: dict[str, list[float]] = {}
    async with (
        await open_pool(url, read_only=True, max_size=1) as pool,
        pool.acquire() as connection,
    ):
        for seed in range(times):
            for kind, message in _messages(vocabulary, seed):
                began = time.perf_counter()
                await search(connection, _TENANT, message[:_LONGEST])
                seconds.setdefault(kind, []).append(time.perf_counter() - began)
    worst = max(percentile(found, 0.95) for found in seconds.values())
    rows = tuple(
        (kind, *(1000 * percentile(found, share) for share in (0.5, 0.95, 1.0)))
        for kind, found in seconds.items()
    )
    return Section(
        name=NAME,
        title="Search",
        how=_HOW.format(chunks=chunks, words=len(vocabulary), longest=_LONGEST, times=times),
        ratios=(
            Ratio(name="p95 of the worst kind of message, ms", value=1000 * worst, aim=_AIM_MS),
        ),
        tables=(Table(title="Milliseconds", columns=("message", "p50", "p95", "max"), rows=rows),),
    )
