"""How a stage of `make test` ended, how its tests are counted, and the table of all of them."""

import re
from dataclasses import dataclass


@dataclass
class Outcome:
    """How a stage ended. Without counts the stage itself counts as one."""

    result: str = "passed"
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""
    seconds: float = 0.0

    @property
    def counted(self):
        return self.passed + self.failed + self.skipped > 0

    def totals(self):
        """The stage's share of the last line: a failed stage always adds at least one failure."""
        if self.result == "skipped":
            return 0, 0, 1
        if self.result == "failed":
            return self.passed, max(self.failed, 1), self.skipped
        return (self.passed, 0, self.skipped) if self.counted else (1, 0, 0)


class Skipped(Exception):
    """The stage cannot run here; the text is the reason."""


class Failed(Exception):
    """The stage failed before it could count anything; the text is the note."""


def numbers(text, *words):
    """Sums `N word` over the text: numbers("3 passed, 1 failed", "failed") is 1."""
    return sum(int(n) for word in words for n in re.findall(rf"\b(\d+) {word}\b", text))


def outcome_of(code, summaries, empty):
    """Turns an exit code and the summary lines of a test runner into an outcome."""
    text = "\n".join(summaries)
    outcome = Outcome(
        passed=numbers(text, "passed"),
        failed=numbers(text, "failed", "exec failed", "timed out"),
        skipped=numbers(text, "skipped", "ignored"),
    )
    if code != 0 or outcome.failed:
        outcome.result = "failed"
        outcome.note = "" if outcome.failed else f"exit code {code}"
    elif outcome.passed == 0:
        raise empty
    return outcome


def tests_cell(outcome):
    parts = ((outcome.passed, "passed"), (outcome.failed, "failed"), (outcome.skipped, "skipped"))
    return ", ".join(f"{n} {word}" for n, word in parts if n) if outcome.counted else "-"


def print_table(outcomes):
    rows = [("stage", "result", "seconds", "tests", "note")]
    rows += [(name, o.result, f"{o.seconds:.1f}", tests_cell(o), o.note) for name, o in outcomes.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    rows.insert(1, tuple("-" * width for width in widths))
    for stage, result, seconds, tests, note in rows:
        left = f"{stage:<{widths[0]}} | {result:<{widths[1]}} | {seconds:>{widths[2]}}"
        print(f"{left} | {tests:<{widths[3]}} | {note}".rstrip())
