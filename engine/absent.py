"""Stand-ins for the packages that Rasa imports on start but that this environment leaves out.

Rasa imports TensorFlow, eleven chat channels, three message brokers and two cloud databases at module level, whether
they are used or not. `install()` appends a finder to `sys.meta_path`: a package that is really installed always wins,
so the same launcher serves the environment with TensorFlow. What is only imported, subclassed, named in an annotation
or used as a decorator works; what is *used* raises `AbsentPackage`, which names the package and the remedy.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

TENSORFLOW = frozenset({"tensorflow", "tensorflow_hub", "keras"})
# Module prefixes, because `google` is shared with protobuf.
OTHERS = frozenset(
    {
        "aio_pika",
        "aiogram",
        "aiormq",
        "boto3",
        "botocore",
        "cachecontrol",
        "fbmessenger",
        "google.auth",
        "google.oauth2",
        "mattermostwrapper",
        "pymongo",
        "rocketchat_API",
        "slack_sdk",
        "socketio",
        "twilio",
        "webexteamssdk",
    }
)
_ABSENT = TENSORFLOW | OTHERS
_NAMESPACES = frozenset({"google"})  # a stand-in only where no real package shares it
_DECORATORS = frozenset({"tensorflow.function", "tensorflow.keras.utils.register_keras_serializable"})
_ERROR_MODULES = frozenset({"error", "errors", "exceptions"})
_ERROR_SUFFIXES = ("Error", "Exception", "Failure")


class AbsentPackage(RuntimeError):
    """Something needs a package that this environment leaves out on purpose."""

    def __init__(self, name: str) -> None:
        if _covers(TENSORFLOW, name):
            remedy = "run the environment of engine/requirements-tensorflow.txt (make engine-tensorflow)"
        else:
            remedy = "add the package to engine/pyproject.toml and compile engine/requirements.txt"
        super().__init__(f"{name} is not installed in Rasa's environment; to use it, {remedy}")


def _covers(prefixes: frozenset[str], name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:count]) in prefixes for count in range(1, len(parts) + 1))


class _PlaceholderType(type):
    """Class attributes of a placeholder are placeholders: `tf.random.Generator.from_seed`."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _placeholder(f"{cls.__module__}.{cls.__qualname__}", name)


class _Placeholder(metaclass=_PlaceholderType):
    """May be a base class or an annotation; an instance of it or of a subclass cannot be made."""

    def __init_subclass__(cls, **_options: Any) -> None:
        pass

    def __new__(cls, *_args: Any, **_options: Any) -> NoReturn:
        absent = next(base for base in cls.__mro__ if "_absent_name" in vars(base))
        raise AbsentPackage(absent._absent_name)


def _placeholder(module: str, name: str) -> type:
    namespace = {"__module__": module, "_absent_name": f"{module}.{name}"}
    if module.rsplit(".", 1)[-1] in _ERROR_MODULES or name.endswith(_ERROR_SUFFIXES):
        # Named in `except` clauses, where only an exception class may stand.
        return type(name, (Exception,), namespace)
    return _PlaceholderType(name, (_Placeholder,), namespace)


def _decorator(*args: Any, **options: Any) -> Any:
    if len(args) == 1 and callable(args[0]) and not options:
        return args[0]
    return _unchanged


def _unchanged(decorated: Callable[..., Any]) -> Callable[..., Any]:
    return decorated


class AbsentModule(types.ModuleType):
    """A module of an absent package: its classes are placeholders, its functions raise when called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        value: Any
        if full in _DECORATORS:
            value = _decorator
        elif name.isupper():
            value = ()  # a constant; Rasa unpacks one in an `except` clause
        elif name[:1].isupper():
            value = _placeholder(self.__name__, name)
        else:
            value = sys.modules.get(full) or AbsentModule(full)
        setattr(self, name, value)
        return value

    def __call__(self, *_args: Any, **_options: Any) -> NoReturn:
        raise AbsentPackage(self.__name__)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not _covers(_ABSENT, fullname) and fullname not in _NAMESPACES:
            return None
        parent = fullname.rpartition(".")[0]
        if _covers(_ABSENT, parent) and not isinstance(sys.modules.get(parent), AbsentModule):
            return None  # the real package is installed and lacks this module: that is its own error
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> AbsentModule:
        return AbsentModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def install() -> None:
    """Let absent packages be imported. Call before the first import of Rasa; calling it twice does no harm."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
