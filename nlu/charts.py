"""The pictures of a training report as PNG files. Needs the `train` extra (matplotlib, Agg)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_CHINESE = (
    "Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Microsoft YaHei", "PingFang SC", "SimHei", "Noto Sans CJK JP", "Noto Serif CJK SC",
)  # fmt: skip
_DOTS = 150  # per inch: sharp on paper
_INCHES = (6.3, 3.6)  # the width of a printed A4 page
_CELL = 0.34  # inches of one cell of a confusion matrix
_DARK = 0.5  # share of a row from which its number is written in white


def chinese_font() -> str | None:
    """The family of an installed font with Chinese characters, None where there is none."""
    installed = set(font_manager.get_font_names())
    return next((name for name in _CHINESE if name in installed), None)


def learning_curve(path: Path, history: Sequence[dict[str, float]], font: str | None) -> None:
    """Loss of every epoch: of training, and of the judging sentences where they were measured.

    Args:
        history: `{"epoch", "loss", "judged"}` of each epoch; `judged` may be missing.
        font: as `chinese_font` found it; without one the picture's words are English.
    """
    say = _words(font)
    with _picture(path, font, _INCHES) as axes:
        axes.plot(
            [h["epoch"] for h in history],
            [h["loss"] for h in history],
            "o-",
            color="0.2",
            label=say("训练", "training"),
        )
        judged = [(h["epoch"], h["judged"]) for h in history if "judged" in h]
        if judged:
            axes.plot(*zip(*judged, strict=True), "s--", color="tab:blue", label=say("校准句", "judging"))
        axes.set_xticks([h["epoch"] for h in history])
        axes.set_xlabel(say("轮", "epoch"))
        axes.set_ylabel(say("损失", "loss"))
        axes.grid(alpha=0.3)
        axes.legend()


def confusion(path: Path, counts: npt.NDArray[np.int64], names: Sequence[str], font: str | None) -> None:
    """A confusion matrix: rows are the right labels, columns the answers, colours the share of the row.

    Args:
        counts: (classes, classes).
        names: of the classes, in order; without a font they must do without Chinese.
    """
    say = _words(font)
    side = _CELL * len(names)
    with _picture(path, font, (side + 2.2, side + 2.0)) as axes:
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_xticks(np.arange(0.5, len(names) - 1), minor=True)
        axes.set_yticks(np.arange(0.5, len(names) - 1), minor=True)
        axes.grid(which="minor", color="0.85", linewidth=0.5)
        axes.tick_params(which="minor", length=0)
        axes.set_xlabel(say("模型的回答", "answer"))
        axes.set_ylabel(say("标注", "label"))
        for row, column in np.argwhere(counts).tolist():
            colour = "white" if shares[row, column] > _DARK else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=6, color=colour)


def calibration(
    path: Path, confidence: Sequence[float], accuracy: Sequence[float], error: float, font: str | None
) -> None:
    """A reliability diagram: accuracy over confidence, one point for each bin that has rows.

    Args:
        error: the expected calibration error, 0 to 1, written into the picture.
    """
    say = _words(font)
    with _picture(path, font, (3.6, 3.6)) as axes:
        axes.plot([0, 1], [0, 1], ":", color="0.5")
        axes.plot(confidence, accuracy, "o-", color="tab:blue")
        axes.text(0.04, 0.92, f"ECE {error:.4f}")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel(say("把握", "confidence"))
        axes.set_ylabel(say("正确率", "accuracy"))
        axes.grid(alpha=0.3)


def _words(font: str | None) -> Callable[[str, str], str]:
    return lambda chinese, english: chinese if font else english


@contextmanager
def _picture(path: Path, font: str | None, inches: tuple[float, float]) -> Iterator[Axes]:
    """Axes to draw on; written to `path` afterwards. No pyplot, so that nothing stays open and no display is asked."""
    families = [font, "DejaVu Sans"] if font else ["DejaVu Sans"]
    with matplotlib.rc_context({"font.family": families, "font.size": 9}):
        figure = Figure(figsize=inches, dpi=_DOTS, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure.add_subplot()
        figure.savefig(path)
