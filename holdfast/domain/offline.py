"""What the offline model, a set of rules that stands in for a language model, is there for."""

from typing import Literal

OfflineMode = Literal["only", "fallback", "never"]
"""`only`: nobody else answers, and its tool calls count. `fallback`: it gives words, and nothing but
words, where no provider answers. `never`: it isn't asked."""
