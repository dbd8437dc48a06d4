"""Real PostgreSQL and Redis servers for a test run: on a free port, in a temporary folder, gone afterwards."""

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"server ended at once:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no server on port {port} after 60 s")


def _postgres_binary(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if not found:
        raise RuntimeError(f"{name} is missing: run tests/system_packages.sh")
    return found


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[str]:
    """Yield `postgresql://user@127.0.0.1:port` of a fresh cluster; `durable`: it waits for the disk, for timings."""
    # Not below pytest's own folder, which only root may enter when root runs the tests.
    folder = tempfile.TemporaryDirectory(prefix="minsheng-postgres-", ignore_cleanup_errors=True)
    with folder as name, _postgres(Path(name), durable) as url:
        yield url


@contextmanager
def _postgres(folder: Path, durable: bool) -> Iterator[str]:
    as_user: list[str] = []
    user = getpass.getuser()
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root.
        user = next((name for name in ("postgres", "nobody") if _user_exists(name)), "nobody")
        as_user = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
        shutil.chown(folder, user)
    data, log, port = folder / "data", folder / "log", free_port()
    subprocess.run(
        [*as_user, _postgres_binary("initdb"), "-D", data, "-U", "minsheng", "-A", "trust", "-E", "UTF8", "--locale=C"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = {"max_connections": "200"}
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    command = [*as_user, _postgres_binary("postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
    command += ["-c", "listen_addresses=127.0.0.1"]
    for key, value in options.items():
        command += ["-c", f"{key}={value}"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        _wait_for_port(port, process, log)
        # The port is open a moment before the server takes connections.
        ready = [_postgres_binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "5"]
        for _ in range(600):
            if subprocess.run(ready).returncode == 0:
                break
            time.sleep(0.1)
        yield f"postgresql://minsheng@127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Yield `redis://127.0.0.1:port/0` of a fresh server without persistence."""
    binary = shutil.which("redis-server")
    if not binary:
        raise RuntimeError("redis-server is missing: run tests/system_packages.sh")
    port, log = free_port(), folder / "log"
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_for_port(port, process, log)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)
