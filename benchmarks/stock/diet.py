"""Stock Rasa's NLU as a process for measuring; runs in engine/.venv-tensorflow.

    python benchmarks/stock/diet.py MODEL.tar.gz

Speaks the protocol of benchmarks/worker.py: a line of JSON `{"texts": […]}` in, a line of JSON out, `{"ms": …,
"answers": [{"intent": …, "ranking": [[name, confidence], …]}, …]}`. `ms` is the time of reading all texts, one after
the other, as Rasa's agent does.
"""

import asyncio
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[2])
os.environ["RASA_TELEMETRY_ENABLED"] = "false"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")

from engine import absent  # noqa: E402

absent.install()

from rasa.core.agent import Agent  # noqa: E402
from rasa.utils.tensorflow.environment import setup_tf_environment  # noqa: E402


def answer(parsed: dict[str, Any]) -> dict[str, Any]:
    """What is kept of one parsed message."""
    ranking = [[one["name"], one["confidence"]] for one in parsed["intent_ranking"]]
    return {"intent": parsed["intent"]["name"], "ranking": ranking}


def main() -> None:
    """Answer lines until there are no more."""
    # What the libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    setup_tf_environment()
    agent = Agent.load(sys.argv[1])
    loop = asyncio.new_event_loop()
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        found, texts = [], json.loads(line)["texts"]
        began = time.perf_counter()
        for text in texts:
            found.append(loop.run_until_complete(agent.parse_message(text)))
        milliseconds = (time.perf_counter() - began) * 1000
        print(json.dumps({"ms": milliseconds, "answers": [*map(answer, found)]}), file=answers, flush=True)


if __name__ == "__main__":
    main()
