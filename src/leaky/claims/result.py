"""What ``leaky claims`` returns."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from leaky.claims.answer import VERDICTS, Answer
from leaky.claims.statement import Statement


@dataclass(frozen=True, repr=False)
class Claims:
    """The answer to each statement; ``print`` shows the verdicts."""

    statements: tuple[Statement, ...]
    #: in the same order
    answers: tuple[Answer, ...]
    #: versions, machine, threads: what the numbers depend on besides the recipes
    environment: dict[str, str]

    def __str__(self) -> str:
        return "\n".join(f"{a.id}: {a.in_full}. {a.sentence}" for a in self.answers)

    def __repr__(self) -> str:
        counts = Counter(answer.verdict for answer in self.answers)
        return f"<leaky.Claims: {', '.join(f'{counts[v]} {v}' for v in VERDICTS if counts[v])}>"

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain JSON types, each statement with its answer."""
        both = zip(self.statements, self.answers, strict=True)
        return {
            "claims": [{**asdict(statement), **answer.to_dict()} for statement, answer in both],
            "environment": self.environment,
        }
