"""Reads a policy from YAML; what is wrong with it is said with file and line."""

import hashlib

from holdfast.domain.documents import read_document
from holdfast.domain.errors import PolicyError
from holdfast.domain.policy.rules import Policy


def load_policy(text: str, *, source: str) -> Policy:
    """The policy in a YAML text; `source` is what errors call it.

    Raises:
        PolicyError: it is not YAML, or not a policy; the message has a line for each problem, which
            begins with source and line.
    """
    policy = read_document(text, Policy, source=source, error=PolicyError)
    for name in ("digest", "text"):
        if getattr(policy, name):
            raise PolicyError(f"{source}:1: {name}: it is the file's own, not written in it")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return policy.model_copy(update={"digest": digest, "text": text})
