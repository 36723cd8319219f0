"""Holds a recording of the tests against AWS's published service models, which botocore carries.

Usage: check.py DIRECTORY [--whole]. Each line of the `.jsonl` files there is a request that a test made and the answer that the
tests' own AWS gave (`xtask/tests/suite/support/aws/recording.rs`). Every difference is printed; one is enough for exit code 1. With
`--whole` the recording is that of the whole suite: then a deviation of `deviations.py` that never came up is an error as well.
"""

import collections
import json
import pathlib
import sys

import answers
import calls
import deviations
import shapes


class Findings:
    """What came of it."""

    def __init__(self):
        self.calls = 0
        self.injected = 0
        self.operations = set()
        # What differs, and the tests in which it did.
        self.differences = collections.defaultdict(collections.Counter)
        # Deviations that are allowed, and how often they came up.
        self.allowed = collections.Counter()

    def add(self, side, service, operation, difference, test):
        key = f"{service}.{operation}"
        for deviation in deviations.ALLOWED:
            if deviation.covers(side, key, difference):
                self.allowed[deviation] += 1
                return
        place = f"{key} {side} {difference.where}".rstrip()
        self.differences[f"{place} {difference.what}"][test] += 1


def judge(record, findings):
    findings.calls += 1
    test = record["test"]
    try:
        service = calls.service_of(record)
    except calls.Unreadable as error:
        findings.add("request", "?", "?", shapes.Difference("", str(error)), test)
        return
    name = service.service_name
    try:
        operation, protocol, members = calls.asked(service, record)
    except (calls.Unreadable, ValueError) as error:
        findings.add("request", name, "?", shapes.Difference("", str(error)), test)
        return
    findings.operations.add(f"{name}.{operation.name}")
    if operation.input_shape is not None:
        for difference in shapes.differences(operation.input_shape, members):
            findings.add("request", name, operation.name, difference, test)
    if record["injected"]:
        findings.injected += 1
        return
    for difference in of_answer(operation, protocol, record["answer"]):
        findings.add("answer", name, operation.name, difference, test)


def of_answer(operation, protocol, answer):
    if answer is None:
        return [shapes.Difference("", "is none, and no test wanted that")]
    try:
        return list(answers.judged(operation, protocol, answer))
    except (calls.Unreadable, SyntaxError, ValueError) as error:
        return [shapes.Difference("", f"is unreadable: {error}")]


def records(directory):
    for file in sorted(pathlib.Path(directory).glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def report(findings, is_whole):
    """Prints what was found. Returns whether all is as it should be."""
    for text, tests in sorted(findings.differences.items()):
        named = ", ".join(name for name, _ in tests.most_common(3))
        print(f"{text}\n    {tests.total()} times, in {len(tests)} tests: {named}")
    idle = [one for one in deviations.ALLOWED if is_whole and one not in findings.allowed]
    for deviation in idle:
        print(f"deviations.py allows what never came up: {deviation.operation} {deviation.where}")
    for pattern in sorted(shapes.unreadable_patterns):
        print(f"not checked, since Python cannot read it: the pattern {pattern}")
    for deviation, count in findings.allowed.items():
        print(f"allowed {count} times: {deviation.operation} {deviation.side} {deviation.where}: {deviation.reason}")
    services = {name.split(".")[0] for name in findings.operations}
    print(
        f"{findings.calls} calls of {len(findings.operations)} operations of {len(services)} services checked against AWS's models "
        f"({findings.injected} with a fault in place of the answer): {len(findings.differences) or 'no'} differences"
    )
    return not findings.differences and not idle and findings.calls > 0


def main(arguments):
    directory = [word for word in arguments if word != "--whole"]
    if len(directory) != 1:
        sys.exit(__doc__)
    findings = Findings()
    for record in records(directory[0]):
        judge(record, findings)
    return 0 if report(findings, "--whole" in arguments) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
