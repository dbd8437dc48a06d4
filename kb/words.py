"""Chinese words for BM25: jieba with the field's words, character pairs, and residents' own words for things."""

import re
import threading
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kb.text import folded

with warnings.catch_warnings():
    # jieba's source holds invalid escapes and asks setuptools for its dictionary.
    warnings.simplefilter("ignore")
    import jieba

_DATA = Path(__file__).parent / "data"
_WORD = re.compile(r"\w")
_HAN = re.compile("[\u3007\u3400-\u9fff]+")
_lock = threading.Lock()


@cache
def _tokenizer() -> "jieba.Tokenizer":
    jieba.setLogLevel("WARNING")
    tokenizer = jieba.Tokenizer()
    for word in _lines("words.txt"):
        tokenizer.add_word(word)
    return tokenizer


@cache
def _particles() -> frozenset[str]:
    return frozenset(word for line in _lines("particles.txt") for word in line.split())


@cache
def _question_words() -> frozenset[str]:
    return frozenset(word for line in _lines("question_words.txt") for word in line.split())


@cache
def synonyms() -> dict[str, tuple[str, ...]]:
    """What residents say, and the words that documents use for it; from `data/synonyms.txt`."""
    table = {}
    for line in _lines("synonyms.txt"):
        said, _, meant = line.partition("=")
        table[folded(said.strip())] = tuple(folded(word) for word in meant.split())
    return table


@cache
def _replacements() -> list[tuple[str, str]]:
    """What residents say and what stands for it, the longest first."""
    longest_first = sorted(synonyms().items(), key=lambda item: -len(item[0]))
    return [(said, " ".join(("", *phrases, ""))) for said, phrases in longest_first]


def _lines(name: str) -> list[str]:
    text = (_DATA / name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def words(text: str) -> list[str]:
    """The words of a text, in order; no punctuation, no particles.

    Thread-safe. The first call loads the dictionary (about a second).
    """
    tokenizer = _tokenizer()
    if not tokenizer.initialized:
        with _lock:
            tokenizer.initialize()
    left_out = _particles()
    return [w for w in tokenizer.lcut(folded(text), HMM=False) if w not in left_out and _WORD.search(w)]


def terms(text: str) -> list[str]:
    """What BM25 counts: the words, and every pair of neighbouring Han characters.

    The pairs find what the dictionary cuts differently in question and document, and survive a wrong character beside
    them; on the notices they lift recall@1 from 0.77 to 0.80 (docs/decisions/0005-knowledge-base.md).
    """
    return words(text) + pairs(folded(text))


def pairs(text: str) -> list[str]:
    """Every pair of neighbouring Han characters of a folded text."""
    return [run[i : i + 2] for run in _HAN.findall(text) for i in range(len(run) - 1)]


def query_terms(question: str) -> list[str]:
    """What BM25 counts in a question: its own terms and those of what residents' words in it stand for."""
    found = terms(question)
    plain = folded(question)
    meant = [phrase for said, phrases in synonyms().items() if said in plain for phrase in phrases]
    return found + [term for phrase in dict.fromkeys(meant) for term in terms(phrase) if term not in found]


def in_documents_words(question: str) -> str:
    """The question with what residents say put into the words of documents, for judging what an answer covers."""
    plain = folded(question)
    for said, meant in _replacements():
        if said in plain:
            plain = plain.replace(said, meant)
    return plain


def content_words(tokens: Iterable[str]) -> list[str]:
    """Those words that say what a question is about, each once."""
    shaping = _question_words()
    return [w for w in dict.fromkeys(tokens) if w not in shaping]
