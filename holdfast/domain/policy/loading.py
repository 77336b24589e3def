"""Reads a policy from YAML; what is wrong with it is said with file and line."""

import hashlib
from typing import Any

import yaml
from pydantic import ValidationError

from holdfast.domain.errors import PolicyError
from holdfast.domain.policy.rules import Policy


def load_policy(text: str, *, source: str) -> Policy:
    """The policy in a YAML text; `source` is what errors call it.

    Raises:
        PolicyError: it is not YAML, or not a policy; the message has a line for each problem, which
            begins with source and line.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{source}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none, say
        problem = str(error).splitlines()[0]
        raise PolicyError(f"{source}:1: not YAML: {problem}") from error
    try:
        policy = Policy.model_validate(value)
    except ValidationError as error:
        problems = [
            f"{source}:{_line(node, problem['loc'])}: {_place(problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise PolicyError("\n".join(problems)) from error
    if policy.digest:
        raise PolicyError(f"{source}:1: digest: it is worked out from the text, not written there")
    return policy.model_copy(update={"digest": hashlib.sha256(text.encode()).hexdigest()})


def _place(location: tuple[int | str, ...]) -> str:
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return place.lstrip(".") or "the file"


def _line(node: yaml.Node | None, location: tuple[int | str, ...]) -> int:
    """The line of the innermost part of a location that the text has."""
    line = 1
    for part in location:
        match node:
            case yaml.MappingNode():
                for key, value in node.value:
                    if key.value == str(part):
                        line, node = key.start_mark.line + 1, value
                        break
                else:
                    return line
            case yaml.SequenceNode() if isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            case _:
                # A single rule stands for a list of one, where `part` is 0.
                if part != 0:
                    return line
    return line


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's own loader drops the first in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(str(key.value))
        return node
