"""HumanEval's problems (openai/human-eval, MIT), as cells: a solution, and its tests."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

PASSED = "passed 8f2c"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: a function's head, a body that is right, and tests."""

    name: str
    prompt: str
    solution: str
    test: str
    function: str

    def cell(self, *, control: bool = False) -> str:
        """The code that prints PASSED if the body passes; a control's body is `return None`."""
        body = "    return None\n" if control else self.solution
        return f"{self.prompt}{body}\n{self.test}\ncheck({self.function})\nprint({PASSED!r})\n"


def read_problems(file: Path, count: int) -> list[Problem]:
    """The first problems of HumanEval.jsonl.gz."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines if line.strip()]
    return [
        Problem(
            one["task_id"], one["prompt"], one["canonical_solution"], one["test"],
            one["entry_point"],
        )
        for one in read[:count]
    ]  # fmt: skip
