"""The two things compared: the whole of Minsheng, and stock Rasa with its action server. Real processes, fresh data."""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
STOCK = ROOT / "benchmarks" / "stock"
STOCK_PYTHON = ROOT / "engine" / ".venv-tensorflow" / "bin" / "python"


class Side:
    """One system under load: its processes by name, and how a resident talks to it."""

    name: str
    processes: dict[str, psutil.Process]

    def memory_mb(self) -> dict[str, int]:
        """Resident memory of each process, in MiB."""
        return {name: process.memory_info().rss >> 20 for name, process in self.processes.items()}

    def cpu_s(self) -> dict[str, float]:
        """CPU time of each process so far, in seconds."""
        return {name: sum(process.cpu_times()[:2]) for name, process in self.processes.items()}

    async def open(self, http: httpx.AsyncClient) -> object:
        """A new conversation."""
        raise NotImplementedError

    async def say(self, http: httpx.AsyncClient, conversation: object, text: str) -> bool:
        """One turn; whether it was answered."""
        raise NotImplementedError


class Minsheng(Side):
    """`minsheng serve` with its engine, over the public HTTP API."""

    name = "minsheng"

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.url = url
        engine = next(child for child in process.children(recursive=True) if "launcher.py" in " ".join(child.cmdline()))
        self.processes = {"application": process, "engine": engine}

    async def open(self, http: httpx.AsyncClient) -> object:
        body = (await http.post(f"{self.url}/api/v1/conversations")).raise_for_status().json()
        return body["id"], body["token"]

    async def say(self, http: httpx.AsyncClient, conversation: object, text: str) -> bool:
        assert isinstance(conversation, tuple)
        response = await http.post(
            f"{self.url}/api/v1/conversations/{conversation[0]}/messages",
            json={"text": text, "client_message_id": os.urandom(8).hex()},
            headers={"Authorization": f"Bearer {conversation[1]}"},
        )
        # "system" speaks when the engine was away or failed.
        return response.status_code == 200 and "assistant" in {m["sender"] for m in response.json()["messages"]}


class StockRasa(Side):
    """Rasa's REST channel, conversations in memory, an action server of rasa-sdk."""

    name = "stock"

    def __init__(self, url: str, engine: psutil.Process, actions: psutil.Process) -> None:
        self.url = url
        self.processes = {"rasa": engine, "action server": actions}

    async def open(self, http: httpx.AsyncClient) -> object:
        return os.urandom(8).hex()

    async def say(self, http: httpx.AsyncClient, conversation: object, text: str) -> bool:
        body = {"sender": conversation, "message": text}
        response = await http.post(f"{self.url}/webhooks/rest/webhook", json=body)
        return response.status_code == 200 and bool(response.json())


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _process(command: list[str | Path], log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.3)
    sys.exit(f"no answer from {url}; the end of {log}:\n{log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def minsheng(folder: Path) -> Iterator[Minsheng]:
    """Serve the whole of Minsheng from an empty data folder until the block ends."""
    port, log = free_port(), folder / "minsheng.log"
    url = f"http://127.0.0.1:{port}"
    variables = {"MINSHENG_DATA_DIR": str(folder / "data"), "MINSHENG_MESSAGES_PER_MINUTE": "1000000"}
    command: list[str | Path] = [ROOT / ".venv" / "bin" / "minsheng", "serve", "--port", str(port)]
    with _process(command, log, **variables) as process:
        _wait_for(f"{url}/readyz", process, log, 600)
        yield Minsheng(url, psutil.Process(process.pid))


@contextlib.contextmanager
def stock_rasa(folder: Path, models: Path, epochs: int) -> Iterator[StockRasa]:
    """Run stock Rasa and its action server until the block ends; its model is trained first if `models` lacks it."""
    if not STOCK_PYTHON.exists():
        sys.exit("stock Rasa needs its environment: make engine-tensorflow (or give --skip-stock)")
    model = _stock_model(models, epochs)
    rasa_port, actions_port = free_port(), free_port()
    url = f"http://127.0.0.1:{rasa_port}"
    actions: list[str | Path] = [STOCK_PYTHON, "-m", "rasa_sdk", "--actions", "benchmarks.stock.actions"]
    serve: list[str | Path] = [STOCK_PYTHON, STOCK / "rasa_stock.py", "run", "--model", model, "--port", str(rasa_port)]
    serve += ["-i", "127.0.0.1", "--endpoints", STOCK / "endpoints.yml", "--credentials", STOCK / "credentials.yml"]
    log, actions_log = folder / "stock.log", folder / "stock-actions.log"
    with (
        _process([*actions, "--port", str(actions_port)], actions_log, PYTHONPATH=str(ROOT)) as action_server,
        _process(serve, log, STOCK_ACTIONS_URL=f"http://127.0.0.1:{actions_port}/webhook") as process,
    ):
        _wait_for(f"http://127.0.0.1:{actions_port}/health", action_server, actions_log, 120)
        _wait_for(f"{url}/webhooks/rest/", process, log, 300)
        yield StockRasa(url, psutil.Process(process.pid), psutil.Process(action_server.pid))


def _stock_model(models: Path, epochs: int) -> Path:
    config = yaml.safe_load((STOCK / "config.yml").read_text(encoding="utf-8"))
    for component in config["pipeline"] + config["policies"]:
        if component["name"] in ("DIETClassifier", "TEDPolicy"):
            component["epochs"] = epochs
    data = [ROOT / "training_data" / name for name in ("nlu", "rules", "stories")]
    files = [ROOT / "domain.yml", *(file for part in data for file in sorted(part.glob("*.yml")))]
    content = b"\0".join([yaml.safe_dump(config).encode(), *(path.read_bytes() for path in files)])
    model = models / f"stock-{hashlib.sha256(content).hexdigest()[:16]}.tar.gz"
    if not model.exists():
        print("training stock Rasa (DIET and TED), some minutes …", file=sys.stderr, flush=True)
        models.mkdir(parents=True, exist_ok=True)
        written = models / "config.yml"
        written.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        command: list[str | Path] = [STOCK_PYTHON, STOCK / "rasa_stock.py", "train", "--skip-validation"]
        command += ["--config", written, "--domain", ROOT / "domain.yml", "--data", *data]
        command += ["--out", models, "--fixed-model-name", model.name]
        with (models / "training.log").open("wb") as log:
            subprocess.run(command, cwd=models, stdout=log, stderr=log, check=True)
    return model
