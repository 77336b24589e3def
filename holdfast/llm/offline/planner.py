"""What to do next for a request: which tools to call with which arguments, or what to say instead."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import JsonValue

from holdfast.contract.hints import AnsweredCall, HintContext, Hints, Say, ToolHint, ToolUse
from holdfast.llm.offline.arguments import from_results, from_words
from holdfast.llm.offline.goals import Goal
from holdfast.llm.offline.request import ChatRequest, Function
from holdfast.llm.offline.schema import kind_of, resolve

_READING = re.compile(r"^(get|find|list|search|look|read|fetch|show)_")
_MOST_CALLS = 8


@dataclass(frozen=True)
class Done:
    """A call that has its result already, or the one whose failure stands in the way of it."""

    call: AnsweredCall
    known: HintContext


Step = ToolUse | Done | Say


def steps_for(goal: Goal, hints: Hints) -> list[Step]:
    """What is next for each call that the goal stands for, equal steps once."""
    planner = _Planner(goal.words, goal.request, hints)
    hint = hints.tools.get(goal.function.name, ToolHint())
    steps: list[Step] = []
    for start in planner.starts(goal.function, hint):
        steps.extend(step for step in planner.advance(goal.function, start) if step not in steps)
    return steps[:_MOST_CALLS]


class _Planner:
    def __init__(self, words: str, request: ChatRequest, hints: Hints) -> None:
        self._words = words
        self._request = request
        self._hints = hints
        self._functions = {function.name: function for function in request.functions}

    def starts(self, function: Function, hint: ToolHint) -> list[dict[str, JsonValue]]:
        """The arguments that patterns find; several matches for one make several calls."""
        found = {
            name: self._by_pattern(hint, name)
            for name in hint.patterns
            if name in function.properties
        }
        named = {name: values for name, values in found.items() if values}
        return [dict(zip(named, values, strict=True)) for values in product(*named.values())]

    def advance(
        self, function: Function, start: Mapping[str, JsonValue], above: tuple[str, ...] = ()
    ) -> list[Step]:
        """The next steps towards calling `function`; `above` are the tools that wait for it."""
        hint = self._hints.tools.get(function.name, ToolHint())
        arguments = dict(start)
        above = (*above, function.name)
        if hint.after and (first := self._unmet([hint.after], arguments, above)):
            return first
        missing: list[str] = []
        for name, raw in function.properties.items():
            if name in arguments:
                continue
            value = self._find(function, hint, name, raw, arguments, above)
            if isinstance(value, Say):
                return [value]
            if isinstance(value, _Steps):
                return value.steps
            if value is not None:
                arguments[name] = value
            elif name in function.required:
                missing.append(name)
        if missing:
            return self._reads_for(missing, above) or [Say(_question(missing, function, hint))]
        done = self._answered(function.name, arguments)
        if done is not None:
            return self._following(done, hint, len(above) == 1) or [
                Done(done, self._known(arguments))
            ]
        return [ToolUse(function.name, arguments)]

    def _find(
        self,
        function: Function,
        hint: ToolHint,
        name: str,
        raw: Mapping[str, Any],
        arguments: Mapping[str, JsonValue],
        above: tuple[str, ...],
    ) -> "JsonValue | Say | _Steps":
        schema = resolve(raw, function.parameters)
        if (fact := self._request.facts.get(name)) is not None and kind_of(schema) == "string":
            return fact
        for expression, value in hint.values.get(name, {}).items():
            if re.search(expression, self._words, re.IGNORECASE):
                return value
        for lookup in hint.lookups.get(name, ()):
            if steps := self._unmet(lookup.needs, arguments, above):
                return _Steps(steps)
            found = lookup.find(self._known(arguments))
            if found is not None:
                return found
        if name in hint.defaults:
            return hint.defaults[name]
        if name in hint.lookups or name in hint.patterns or name in hint.values:
            return None
        if (stated := from_words(name, schema, self._words)) is not None:
            return stated
        candidates = from_results(name, schema, self._words, self._request.calls)
        if len(candidates) > 1:
            return Say(f"Which {_spoken(name)} do you mean: {_either(candidates)}?")
        return candidates[0] if candidates else None

    def _by_pattern(self, hint: ToolHint, name: str) -> list[JsonValue]:
        """Matches in the customer's words; else the only one in the latest message that has any. What was
        asked is no answer."""
        expression, form = hint.patterns[name], hint.forms.get(name, "{}")
        older = [
            message.text
            for message in reversed(self._request.before)
            if message.role == "user" or not message.text.rstrip().endswith("?")
        ]
        for text in (self._request.asked, self._words, *older):
            found = re.finditer(expression, text, re.IGNORECASE)
            values = list(dict.fromkeys(form.format(match[1].strip()) for match in found))
            if values:
                stated = text in (self._request.asked, self._words)
                return list(values) if stated or len(values) == 1 else []
        return []

    def _unmet(
        self, needs: Sequence[str], arguments: Mapping[str, JsonValue], above: tuple[str, ...]
    ) -> list[Step]:
        """The steps towards the needed tools that have not answered well."""
        steps: list[Step] = []
        for name in needs:
            needed = self._functions.get(name)
            if needed is None or name in above:
                continue
            hint = self._hints.tools.get(name, ToolHint())
            shared = {key: value for key, value in arguments.items() if key in needed.properties}
            start = {**next(iter(self.starts(needed, hint)), {}), **shared}
            for step in self.advance(needed, start, above):
                if isinstance(step, Done) and step.call.error is None:
                    continue
                if step not in steps:
                    steps.append(step)
        said: list[Step] = [step for step in steps if isinstance(step, Say)]
        return said[:1] or steps

    def _reads_for(self, missing: Sequence[str], above: tuple[str, ...]) -> list[Step]:
        """A read not made yet whose description mentions what is missing."""
        wanted = {name.removesuffix("_id").removesuffix("_ids") for name in missing}
        for function in self._functions.values():
            about = f"{function.name} {function.description}".lower()
            if (
                function.name in above
                or function.name in self._hints.tools
                or not _READING.match(function.name)
                or not any(word.replace("_", " ") in about.replace("_", " ") for word in wanted)
            ):
                continue
            calls = [s for s in self.advance(function, {}, above) if isinstance(s, ToolUse)]
            if calls:
                return list(calls)
        return []

    def _answered(self, name: str, arguments: Mapping[str, JsonValue]) -> AnsweredCall | None:
        for call in reversed(self._request.calls):
            if call.name == name and call.arguments == arguments:
                return call
        return None

    def _following(self, done: AnsweredCall, hint: ToolHint, is_goal: bool) -> list[Step]:
        """The calls that belong to the goal and have not been made."""
        if not is_goal or hint.then is None or done.error is not None:
            return []
        uses = hint.then(done, self._known(done.arguments))
        return [use for use in uses if self._answered(use.name, use.arguments) is None]

    def _known(self, arguments: Mapping[str, JsonValue]) -> HintContext:
        return HintContext(words=self._words, arguments=dict(arguments), calls=self._request.calls)


@dataclass(frozen=True)
class _Steps:
    steps: list[Step]


def _question(missing: Sequence[str], function: Function, hint: ToolHint) -> str:
    asked = [hint.questions[name] for name in missing if name in hint.questions]
    others = [name for name in missing if name not in hint.questions]
    if others:
        described = [_spoken(name) for name in others]
        asked.append(f"Could you please tell me the {_listed(described)}?")
    return " ".join(dict.fromkeys(asked))


def _spoken(name: str) -> str:
    return name.replace("_", " ").replace(" id", " number")


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _either(values: Sequence[JsonValue]) -> str:
    words = [str(value) for value in values]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
