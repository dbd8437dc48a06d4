"""Run the tests of this folder; the last line of standard output is JSON: the test's id to "ok" or its traceback."""

import json
import unittest
from pathlib import Path


class _Recorder(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.outcomes[test.id()] = "ok"

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        problems = (*self.failures, *self.errors, *self.skipped)
        self.outcomes.update({case.id(): why for case, why in problems})


if __name__ == "__main__":
    recorder = _Recorder()
    root = Path(__file__).resolve().parents[3]
    unittest.defaultTestLoader.discover(str(Path(__file__).parent), top_level_dir=str(root)).run(recorder)
    print(json.dumps(recorder.outcomes))
