"""What model calls cost: list prices, which a deployment may override."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from holdfast.domain.model import Strict

Dollars = Annotated[Decimal, Field(ge=0)]

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_MICRODOLLAR = Decimal("0.000001")


class Price(Strict):
    """US dollars for a million tokens. `cached_input` is for input that the provider had cached,
    and is `input` where it is left out."""

    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None

    def of(self, prompt: int, completion: int, *, cached: int = 0) -> Decimal:
        """The price of one call, rounded to a millionth of a dollar.

        `prompt` and `completion` are tokens; `cached` of the prompt's came from the cache.
        """
        cached_input = self.input if self.cached_input is None else self.cached_input
        total = (
            (prompt - cached) * self.input + cached * cached_input + completion * self.output
        ) / 1_000_000
        return total.quantize(_MICRODOLLAR)


Prices = Mapping[str, Price]


def _listed(input: str, cached: str, output: str) -> Price:
    return Price(input=Decimal(input), cached_input=Decimal(cached), output=Decimal(output))


PRICES: Prices = {
    "gpt-6-astra": _listed("10", "1", "50"),
    "gpt-6-sol": _listed("2", "0.20", "10"),
    "gpt-6-luna": _listed("0.10", "0.01", "0.50"),
    "gpt-6.1-terra": _listed("1", "0.05", "5"),
    "gpt-5.6-terra": _listed("2", "0.20", "12"),
    "gpt-5.6-luna": _listed("0.20", "0.02", "1.20"),
    "gpt-5.5": _listed("5", "0.50", "30"),
    "gpt-5.4": _listed("2.50", "0.25", "15"),
    "gpt-5.4-mini": _listed("0.75", "0.075", "4.50"),
    "gpt-5.4-nano": _listed("0.20", "0.02", "1.25"),
    "gpt-5-mini": _listed("0.25", "0.025", "2"),
    "gpt-4.1": _listed("2", "0.50", "8"),
    "gpt-4o-mini": _listed("0.15", "0.075", "0.60"),
}
"""OpenAI's list prices (https://developers.openai.com/api/docs/pricing) as others quoted them between
June and October 2026, for the standard tier and prompts below 272,000 tokens. Cache writes and longer
prompts cost more and are not counted. Check them before you bill anybody."""


FREE = Price(input=Decimal(0), output=Decimal(0))
"""The price of what runs here."""


def price_of(prices: Prices, *names: str) -> Price | None:
    """The price of the first of `names` that is listed, with or without a date at its end; None where
    nobody knows what they cost."""
    for name in names:
        for candidate in (name, _DATED.sub("", name)):
            if candidate in prices:
                return prices[candidate]
    return None
