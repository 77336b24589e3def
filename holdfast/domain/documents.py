"""YAML documents that people write: no key stands twice, and every problem is said with its line.

No author can make reading one costly: it is bounded in depth, and in size once its aliases
stand for what they name.
"""

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from holdfast.domain.errors import ConfigurationError
from holdfast.domain.validation import Location, problems_of

_MOST_NODES = 20_000
_DEEPEST = 50

_MOST_PROBLEMS = 50
"""Problems that are said; more would be the same again, and each takes long to find in a large file."""

ModelT = TypeVar("ModelT", bound=BaseModel)


def read_document(
    text: str, model: type[ModelT], *, source: str, error: type[ConfigurationError]
) -> ModelT:
    """The document as `model` has it; `source` is what errors call it.

    Raises:
        ConfigurationError: as the subclass `error`; it is not YAML, or not such a document. The
            message has a line for each problem, which begins with source and line, and never the
            values, which may be secret.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _measure(node, {})
        value = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as broken:
        line = broken.problem_mark.line + 1 if broken.problem_mark else 1
        raise error(f"{source}:{line}: not YAML: {broken.problem}") from broken
    except RecursionError:
        raise error(f"{source}:1: it is nested too deep") from None
    except (yaml.YAMLError, ValueError) as broken:
        raise error(f"{source}:1: not YAML: {str(broken).splitlines()[0]}") from broken
    try:
        return model.model_validate(value)
    except ValidationError as wrong:
        found = problems_of(wrong, trusted=True)
        problems = [
            f"{source}:{_line(node, at)}: {_place(at)}: {reason}"
            for at, reason in found[:_MOST_PROBLEMS]
        ]
        if len(found) > _MOST_PROBLEMS:
            problems.append(f"{source}:1: and {len(found) - _MOST_PROBLEMS} more problems")
        raise error("\n".join(problems)) from None
    except RecursionError:
        raise error(f"{source}:1: it is nested too deep") from None


def line_of(text: str, location: Location) -> int:
    """The line of the innermost part of a location that a document, which can be read, has."""
    return _line(_Loader(text).get_single_node(), location)


def _measure(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes it is, with what aliases stand for."""
    if id(node) not in known:
        known[id(node)] = _MOST_NODES + 1  # what contains itself has no end
        parts = node.value if not isinstance(node, yaml.ScalarNode) else []
        below = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_measure(one, known) for one in below)
    if known[id(node)] > _MOST_NODES:
        problem = f"more than {_MOST_NODES} values, aliases counted as what they stand for"
        raise yaml.MarkedYAMLError(None, None, problem, node.start_mark)
    return known[id(node)]


def _place(location: Location) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return place.lstrip(".") or "the file"


def _line(node: yaml.Node | None, location: Location) -> int:
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
                # A value may stand for a list of one, where `part` is 0.
                if part != 0:
                    return line
    return line


class _Loader(yaml.SafeLoader):
    """Says where a value is that is not what its tag says, whatever YAML's own loader raises. Refuses a key
    that is there twice, of which that drops the first in silence, and keys that are merged (`<<`), which
    replace or lose against others in silence, too."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            problem = f"what stands here cannot be read as !!{kind}"
            raise yaml.MarkedYAMLError(None, None, problem, node.start_mark) from error

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803 the library's name
        if self.flow_level >= _DEEPEST:  # each level makes every token below it cost more
            raise yaml.MarkedYAMLError(None, None, "it is nested too deep", self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                problem = "keys cannot be merged with <<; write them out"
                raise yaml.MarkedYAMLError(None, None, problem, key.start_mark)
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(str(key.value))
        return node
