"""Rasa's command line with our stand-ins and mends: `engine/.venv/bin/python engine/launcher.py run|train|test|…`.

Takes the arguments of `rasa`. Telemetry is off, servers bind to loopback, training data and models are looked for in
`training_data/` and `engine/models/`, and Rasa's HTTP API, which lets anybody read conversations and replace the model,
is refused. Environment:

- `MINSHENG_NLU_URL`, `MINSHENG_ACTIONS_URL`, `MINSHENG_ENGINE_SECRET`, `MINSHENG_TRACKER_URL`: see `endpoints.yml`;
  unset, Rasa reads with the model's own component, has no actions and keeps conversations in memory.
- `MINSHENG_ENGINE_PARENT`: the process id of a supervisor; when it ends, so does this process.
"""

import ctypes
import os
import signal
import sys
import warnings
from pathlib import Path

_FORCED = {"RASA_TELEMETRY_ENABLED": "false"}
_DEFAULTS = {
    "MINSHENG_NLU_URL": "",
    "MINSHENG_ACTIONS_URL": "",
    "MINSHENG_ENGINE_SECRET": "",
    "MINSHENG_TRACKER_URL": "",
    "MPLBACKEND": "agg",
    "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
    # Longer than the longest turn: see ACTION_TIMEOUT_S and READER_TIMEOUT_S in engine/patches.py.
    "TICKET_LOCK_LIFETIME": "45",
}
_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when process `parent` ends; end at once when it has ended already."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(f"process {parent}, which started this one, has ended")


def _quiet_old_libraries() -> None:
    """Nobody here can change what they use; Rasa's own warnings about a project stay."""
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import sanic  # noqa: F401 - shows deprecations once imported, so it comes first

    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import matplotlib  # noqa: F401 - Rasa imports it too, but shows every user warning by then


def _set_defaults() -> None:
    """The project's folders and loopback, where Rasa has `data`, `models` and all interfaces."""
    import rasa.core.constants
    import rasa.shared.constants

    rasa.core.constants.DEFAULT_SERVER_INTERFACE = "127.0.0.1"
    rasa.shared.constants.DEFAULT_DATA_PATH = "training_data"
    rasa.shared.constants.DEFAULT_MODELS_PATH = "engine/models"


def main() -> None:
    """Prepare the process, then hand over to Rasa. Ends with Rasa's exit status."""
    # Python put this folder first; the project's packages (engine, nlu) are found from its parent.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if "--enable-api" in sys.argv:
        sys.exit("--enable-api is refused: anybody who reaches that API reads conversations and replaces the model")
    os.environ.update(_FORCED)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if parent := os.environ.pop("MINSHENG_ENGINE_PARENT", ""):
        die_with(int(parent))

    from engine import absent

    absent.install()
    _quiet_old_libraries()
    _set_defaults()
    from engine import patches

    patches.install()
    from rasa.__main__ import main as rasa_main

    rasa_main()


if __name__ == "__main__":
    main()
