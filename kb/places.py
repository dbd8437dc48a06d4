"""Places of a document that something can be attached to: an article, or a heading with all headings above it."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from rapidfuzz import fuzz, process

from kb.documents import label_of

MAX_CHARS = 120
FORMER = "（原）"
"""Behind the name of a place that is gone, where another place has that name or may have it one day."""
_ARTICLE = re.compile(r"第[〇零一二三四五六七八九十百千两0-9０-９]+条(?:之[〇零一二三四五六七八九十百千两0-9０-９]+)?")
_NTH = re.compile(r"（第 \d+ 处）$")
# Shorter texts ("无。") are the same by chance.
_TELLING_CHARS = 12
# rapidfuzz ratios: from when on a text is taken for a changed one of another name, the least for an article of the same
# number, and what the same name is worth.
_CHANGED, _SAME_MATTER, _NAME = 70, 40, 8
_COMPARED_CHARS = 600  # comparing takes time with the square of it


def names(articles: Sequence[str | None]) -> list[str | None]:
    """The place of each passage, in reading order; None before the first heading.

    `articles`: as `Passage.article`. Passages that follow each other under the same one are one place; where it comes
    again further on, each is told apart by a number.
    """
    runs: list[int] = []
    seen: dict[str | None, int] = {}
    for i, article in enumerate(articles):
        if i == 0 or article != articles[i - 1]:
            seen[article] = seen.get(article, 0) + 1
        runs.append(seen[article])
    return [
        f"{article}（第 {run} 处）"[-MAX_CHARS:] if article and seen[article] > 1 else article
        for article, run in zip(articles, runs, strict=True)
    ]


def find(label: str, places: Collection[str]) -> list[str]:
    """The places that a label names: the one of this name, else those whose innermost part it is; several: not plain.

    An article is found by its number wherever its chapter went; a heading under others only under the same ones.
    """
    if label in places:
        return [label]
    last = label_of(label)
    if last != label and not is_article(label):
        return [place for place in places if _NTH.sub("", place) == label]
    return [place for place in places if label_of(_NTH.sub("", place)) == last]


def is_article(place: str) -> bool:
    """Whether a number is all that the innermost part tells."""
    return _ARTICLE.fullmatch(label_of(_NTH.sub("", place)) or "") is not None


def former(place: str, now_there: Collection[str]) -> str:
    """A name for what is gone: a heading that comes back is the same, a number may be another article's one day."""
    if not is_article(place) and not find(place, now_there):
        return place
    return f"{place[-(MAX_CHARS - len(FORMER)) :]}{FORMER}"


def texts(pieces: Sequence[tuple[str | None, str]]) -> dict[str, str]:
    """What stands at each place, less its own article number; of articles and texts in reading order."""
    found: dict[str, list[str]] = {}
    for place, (_, text) in zip(names([article for article, _ in pieces]), pieces, strict=True):
        if place is not None:
            found.setdefault(place, []).append(text)
    return {
        place: "\n".join(windows).removeprefix(label_of(_NTH.sub("", place)) or "").strip()
        for place, windows in found.items()
    }


def moved(before: Mapping[str, str], after: Mapping[str, str], wanted: Collection[str]) -> dict[str, str | None]:
    """Where places of one text are in another: a place with the same words, else the one most like it, of the same name
    if in doubt. None: it is nowhere, as far as can be told.

    Each place has one heir at most: of an article that was cut in two parts or joined with the next, somebody decides.

    Args:
        before, after: place → its text (`texts`).
        wanted: the places of `before` that are asked for.
    """
    same = _unchanged(before, after)
    taken = set(same.values())
    left = {place: text[:_COMPARED_CHARS] for place, text in after.items() if place not in taken}
    found: dict[str, str | None] = {place: same.get(place) for place in wanted}
    likely = [
        (score, place, heir) for place in wanted if place not in same for heir, score in _heirs(place, before, left)
    ]
    for _, place, heir in sorted(likely, key=lambda one: -one[0]):
        if found[place] is None and heir not in taken:
            found[place] = heir
            taken.add(heir)
    return found


def _heirs(place: str, before: Mapping[str, str], left: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Places that may be what a place is now, with how likely; the one of its name counts for more."""
    text, named = before[place][:_COMPARED_CHARS], _of_the_same_name(place, left)
    for _, score, heir in process.extract_iter(text, left, scorer=fuzz.ratio, score_cutoff=_CHANGED):
        if heir != named:
            yield heir, score
    if named is not None:
        score = fuzz.ratio(text, left[named])
        # A number says little: a law's third article was the third of the law before only if it speaks of the same.
        if score >= _SAME_MATTER or not is_article(place):
            yield named, score + _NAME


def _of_the_same_name(place: str, places: Collection[str]) -> str | None:
    if place in places:
        return place
    named = find(place, places) if is_article(place) else []
    return named[0] if len(named) == 1 else None


def _unchanged(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Places whose words stand in the other text, under the same name or, where they stand once in both, another."""
    by_text: dict[str, list[str]] = {}
    for place, text in after.items():
        by_text.setdefault(text, []).append(place)
    once = Counter(before.values())
    found: dict[str, str] = {}
    for place, text in before.items():
        if after.get(place) == text:
            found[place] = place
        elif len(text) >= _TELLING_CHARS and once[text] == 1 and len(by_text.get(text, ())) == 1:
            found[place] = by_text[text][0]
    return found
