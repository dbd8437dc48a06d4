"""Places of a document that something can be attached to: an article, or a heading with all headings above it."""

import re
from collections.abc import Collection, Mapping, Sequence

from rapidfuzz import fuzz, process

from kb.documents import label_of

MAX_CHARS = 120
_ARTICLE = re.compile(r"第[〇零一二三四五六七八九十百千两0-9０-９]+条(?:之[〇零一二三四五六七八九十百千两0-9０-９]+)?")
_NTH = re.compile(r"（第 \d+ 处）$")
# Shorter texts ("无。") are the same by chance.
_TELLING_CHARS = 12
# rapidfuzz ratios: from when on a text is taken for a changed one, and up to when another may be the better heir.
_CHANGED, _HARDLY_THE_SAME = 70, 50


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
    if last != label and not _ARTICLE.fullmatch(last or ""):
        return [place for place in places if _NTH.sub("", place) == label]
    return [place for place in places if label_of(_NTH.sub("", place)) == last]


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
    """Where places of one text are in another: a place with the same words, else the one of the same name.

    A name that now belongs to what was another place, as when an article was put in before, does not count; then the
    place whose words are most alike does. None: it is nowhere.

    Args:
        before, after: place → its text (`texts`).
        wanted: the places of `before` that are asked for.
    """
    same = _unchanged(before, after)
    taken = set(same.values())
    left = {place: text for place, text in after.items() if place not in taken}
    found: dict[str, str | None] = {}
    for place in wanted:
        if place in same:
            found[place] = same[place]
            continue
        text = before[place]
        best = process.extractOne(text, left, scorer=fuzz.ratio, score_cutoff=_CHANGED)
        if best is not None and (place not in left or fuzz.ratio(text, left[place]) < _HARDLY_THE_SAME):
            found[place] = best[2]
        else:
            found[place] = _of_the_same_name(place, left)
    return found


def _of_the_same_name(place: str, places: Collection[str]) -> str | None:
    if place in places:
        return place
    named = find(place, places) if _ARTICLE.fullmatch(label_of(place) or "") else []
    return named[0] if len(named) == 1 else None


def _unchanged(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Places whose words stand in the other text, under the same name or, where they stand there once, another."""
    by_text: dict[str, list[str]] = {}
    for place, text in after.items():
        by_text.setdefault(text, []).append(place)
    found: dict[str, str] = {}
    for place, text in before.items():
        if after.get(place) == text:
            found[place] = place
        elif len(text) >= _TELLING_CHARS and len(by_text.get(text, ())) == 1:
            found[place] = by_text[text][0]
    return found
