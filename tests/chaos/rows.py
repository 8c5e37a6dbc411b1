"""The results of trials, and their table."""

import collections
import dataclasses
from collections.abc import Iterable


@dataclasses.dataclass
class Result:
    """A disturbance and its outcome."""

    scenario: str  # names a row of the table
    subject: str  # the disturbed part, which also names the row
    outcome: str  # a few words
    problems: list[str] = dataclasses.field(default_factory=list)
    trial: str = ""  # for --trial, which repeats it
    kept: str = ""  # folder with the state directory and the consoles


def table(results: Iterable[Result]) -> str:
    """Returns a Markdown table with a row for each scenario and subject."""
    groups: dict[tuple[str, str], list[Result]] = collections.defaultdict(list)
    for result in results:
        groups[result.scenario, result.subject].append(result)
    lines = ["| scenario | subject | trials | outcomes | failures |", "|---|---|---|---|---|"]
    for (scenario, subject), members in sorted(groups.items()):
        counts = collections.Counter(member.outcome for member in members)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        failed = sum(bool(member.problems) for member in members)
        lines.append(f"| {scenario} | {subject} | {len(members)} | {outcomes} | {failed or ''} |")
    return "\n".join(lines)


def failures(results: Iterable[Result]) -> str:
    """Returns a paragraph for each result with problems."""
    return "\n".join(
        f"{result.trial}, {result.scenario}, {result.subject} ({result.outcome}), kept in {result.kept}:\n"
        + "\n".join(f"  - {problem}" for problem in result.problems)
        for result in results
        if result.problems
    )
