"""What a judge is asked: templates, and the words of a verdict with their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from llmcycle.data.chat import Prompt
from llmcycle.quantities import Count

PLACES = re.compile(r"\{(prompt|answer|first|second|criterion)\}")
NEEDED = {"single": ("answer",), "pairwise": ("first", "second")}  # the places that a template must have
WORDS = {"ratings": "single", "preferences": "pairwise"}  # the template that asks for these words

Words = Mapping[str, float]  # a verdict's words and what each is worth, in [0, 1]


@dataclass(frozen=True)
class Rubric:
    """How answers are judged. Of the two templates the one that is used must be there.

    The places `{prompt}`, `{answer}`, `{first}`, `{second}` and `{criterion}` of a template are filled in one pass, so
    that a text can't bring in places of its own. Prompts and answers are quoted, so that they can't write lines of the
    template: each line of theirs begins with `quote`.

    Args:
        criterion: what is asked of an answer, in the judge's own words; a row may have its own in its place.
        single: a template for one answer.
        ratings: words that a judge may rate it with, and their values in [0, 1].
        pairwise: a template for two answers.
        preferences: words for which of them is better: 1 for the first, 0 for the second, 0.5 for a tie.
        quote: what stands before each line of a prompt or an answer; "" puts all of it on one line.
        max_new_tokens: of a verdict in text; a rubric that asks for reasons needs more. The last line is read.

    Raises:
        ValueError: a template lacks a place, or words can't be told apart.
    """

    criterion: str = ""
    single: str = ""
    ratings: Words | None = None
    pairwise: str = ""
    preferences: Words | None = None
    quote: str = "> "
    max_new_tokens: Count = 16

    def __post_init__(self) -> None:
        self.preflight(self.single, self.ratings, self.pairwise, self.preferences)

    @staticmethod
    def preflight(
        single: str = "",
        ratings: Words | None = None,
        pairwise: str = "",
        preferences: Words | None = None,
        **_: object,
    ) -> None:
        """Refuse, before anything is built, what no judge could be asked with."""
        templates, words = {"single": single, "pairwise": pairwise}, {"ratings": ratings, "preferences": preferences}
        if not single and not pairwise:
            raise ValueError("rubric.single and rubric.pairwise: a judge needs a template; choose rubric=default")
        for name, template in templates.items():
            refuse_lack(name, template)
        for name, values in words.items():
            if templates[WORDS[name]]:
                refuse_words(name, values or {})

    def rating(self, prompt: Prompt, answer: str, criterion: str | None = None) -> str:
        """The question for one answer."""
        return self._filled("single", prompt=as_text(prompt), answer=answer, criterion=criterion)

    def comparison(self, prompt: Prompt, first: str, second: str, criterion: str | None = None) -> str:
        """The question for two answers."""
        return self._filled("pairwise", prompt=as_text(prompt), first=first, second=second, criterion=criterion)

    def _filled(self, name: str, criterion: str | None, **texts: str) -> str:
        template: str = getattr(self, name)
        if not template:
            raise ValueError(f"rubric.{name}: this rubric has no such template; choose another one, as rubric=default")
        filled = {place: quoted(text, self.quote) for place, text in texts.items()}
        filled["criterion"] = self.criterion if criterion is None else criterion
        return PLACES.sub(lambda match: filled.get(match[1], match[0]), template)


def quoted(text: str, quote: str) -> str:
    """Text of somebody else as part of a question: no line of it can pass for one of the question's own."""
    if not quote:
        return " ".join(text.split())
    return "\n".join(quote + line for line in text.splitlines() or [""])


def as_text(prompt: Prompt) -> str:
    """A prompt as text: of messages each turn with its role, of a single one its words alone."""
    if isinstance(prompt, str):
        return prompt
    turns = [(str(message["role"]), str(message.get("content") or "")) for message in prompt]
    return turns[0][1] if len(turns) == 1 else "\n".join(f"{role}: {content}" for role, content in turns)


def value_of(reply: str, words: Words) -> float | None:
    """What a verdict in text is worth: of the one word that its last line has; None for none, or for several."""
    lines = reply.strip().splitlines()
    spelt = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    said = set(re.findall(rf"(?<!\w)(?:{spelt})(?!\w)", lines[-1])) if lines else set()
    return float(words[said.pop()]) if len(said) == 1 else None


def refuse_lack(name: str, template: str) -> None:
    """ValueError for a template without the answers that it asks about."""
    places = set(PLACES.findall(template))
    if template and (missing := [place for place in NEEDED[name] if place not in places]):
        raise ValueError(f"rubric.{name}: the template has no place for {{{missing[0]}}}; write it where it belongs")


def refuse_words(name: str, words: Words) -> None:
    """ValueError for words that give no verdict."""
    if len(set(words.values())) < 2:
        raise ValueError(f"rubric.{name}: a verdict needs two words of different value; write {{yes: 1.0, no: 0.0}}")
    for word, value in words.items():
        if not isinstance(word, str):
            raise ValueError(f"rubric.{name}: the word {word!r} is no text in YAML; write it in quotes")
        if not 0 <= value <= 1:
            raise ValueError(f"rubric.{name}.{word}: its value {value:g} does not lie between 0 and 1")
    clash = next(((a, b) for a in words for b in words if a != b and b.startswith(a)), None)
    if clash:
        raise ValueError(f"rubric.{name}: `{clash[0]}` begins `{clash[1]}`, so a verdict could be read as both")
