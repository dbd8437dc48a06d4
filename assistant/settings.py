"""Settings, read from the environment (`MINSHENG_…`) and an optional `.env` file. Defaults run the whole assistant."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Every value can be set as `MINSHENG_<NAME>`; durations end in `_s` (seconds), sizes in `_chars` or `_bytes`."""

    model_config = SettingsConfigDict(env_prefix="MINSHENG_", env_file=".env", extra="ignore")

    # Where things are
    data_dir: Path = PROJECT_ROOT / "var"
    city_dir: Path = PROJECT_ROOT / "city" / "demo"
    nlu_model_dir: Path = PROJECT_ROOT / "models" / "nlu"
    training_dir: Path = PROJECT_ROOT / "training_data"  # what additions learn against
    database_url: str = ""  # empty: SQLite in data_dir
    host: str = "127.0.0.1"
    port: int = 8000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_json: bool = False

    # Secrets; empty ones are made on first start and kept in data_dir with mode 0600
    secret_key: SecretStr = SecretStr("")

    # Dialogue engine (Rasa)
    engine_start: bool = True  # False: the engine at engine_url is started by somebody else
    engine_url: str = ""  # empty: loopback on engine_port
    engine_port: int = 0  # 0: a free port
    engine_secret: SecretStr = SecretStr("")
    engine_turn_timeout_s: float = 20.0
    tracker_database_url: str = ""  # empty: SQLite in data_dir; a postgresql:// address is shared by several engines
    redis_url: str = ""  # lock store of several engines; empty: in memory
    turns_per_engine_session: int = 30

    # Intake
    max_message_chars: int = 8000
    messages_per_minute: int = 60
    embed_origins: str = ""  # sites that may embed the chat, separated by spaces: https://www.example.gov.cn

    # Dispatch
    destinations: Path | None = None  # file that defines destinations, see assistant/dispatch/definitions.py
    dispatch_destination: str = ""  # in place of the default of the city's dispatch.yml
    dispatch_poll_s: float = 2.0
    open311_url: str = ""  # short form for a single Open311 server, which then takes all that no rule sends elsewhere
    open311_api_key: SecretStr = SecretStr("")
    open311_jurisdiction: str = ""

    # A language model that says policy answers in plainer words, off until an address is set
    llm_url: str = ""  # OpenAI-compatible, the part before /chat/completions: http://127.0.0.1:8001/v1
    llm_key: SecretStr = SecretStr("")
    llm_model: str = ""
    llm_timeout_s: float = Field(8.0, gt=0, le=15)  # a turn ends after engine_turn_timeout_s

    # Telegram, off until a token is set
    telegram_token: SecretStr = SecretStr("")
    telegram_mode: Literal["polling", "webhook"] = "polling"
    telegram_webhook_url: str = ""  # public https:// address of this application
    telegram_webhook_secret: SecretStr = SecretStr("")
    telegram_api_url: str = ""  # empty: Telegram's own; a self-hosted Bot API server otherwise

    @property
    def base_url(self) -> str:
        """Where this process reaches itself."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"

    @property
    def sqlalchemy_url(self) -> str:
        """The database address with an async driver; `postgresql://…` and `sqlite://…` are completed."""
        url = self.database_url
        if not url:
            return f"sqlite+aiosqlite:///{self.data_dir / 'minsheng.db'}"
        for plain, driver in (("postgresql://", "postgresql+asyncpg://"), ("sqlite://", "sqlite+aiosqlite://")):
            if url.startswith(plain):
                return driver + url[len(plain) :]
        return url


@lru_cache
def get_settings() -> Settings:
    """The process-wide settings; tests build their own `Settings(...)` instead."""
    return Settings()
