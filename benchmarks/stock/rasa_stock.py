"""`rasa` in engine/.venv-tensorflow without our mends: only the packages that are not installed get stand-ins."""

import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])
os.environ["RASA_TELEMETRY_ENABLED"] = "false"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")

from engine import absent  # noqa: E402

absent.install()

from rasa.__main__ import main  # noqa: E402

if __name__ == "__main__":
    main()
