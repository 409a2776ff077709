"""One exchange: a request, and the patterns that name its answer."""

from __future__ import annotations

from dataclasses import dataclass

from authflow.templates.answers import AnswerPattern, Answers
from authflow.templates.requests import RequestTemplate


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """A request and the patterns of its answers, in their order. `redirects`: may they be followed? `by`: who sends
    it: a person's "browser", or, if it is empty, the session.
    """

    name: str
    request: RequestTemplate
    answers: Answers
    redirects: bool = False
    by: str = ""

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, _ in self.answers))

    def waits(self, outcome: str) -> bool:
        """Is the exchange always repeated after this outcome?"""
        return all(pattern.wait is not None for pattern in self.patterns(outcome)) and outcome in self.outcomes

    def patterns(self, outcome: str) -> tuple[AnswerPattern, ...]:
        return tuple(pattern for name, pattern in self.answers if name == outcome)
