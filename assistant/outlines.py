"""Where the districts lie: from coordinates to a district, by the polygons of districts.geojson."""

import json
import math
from collections.abc import Collection
from itertools import combinations
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from assistant.errors import ConfigError

__all__ = ["Bounds", "Outlines", "read_outlines"]

Bounds = tuple[float, float, float, float]
"""Least longitude, least latitude, greatest longitude, greatest latitude; degrees, WGS 84."""

_OVERLAP = 0.01  # share of the smaller of two districts that drawn borders may overlap


class Outlines:
    """One polygon, or several, per district; longitude and latitude in degrees, WGS 84."""

    def __init__(self, polygons: dict[str, BaseGeometry]) -> None:
        """`polygons`: valid ones, at least one, by the district's name."""
        self._names, self._polygons = tuple(polygons), tuple(polygons.values())
        self._tree = shapely.STRtree(self._polygons)
        left, low, right, high = shapely.union_all(self._polygons).bounds
        self.bounds: Bounds = (left, low, right, high)

    def district(self, lat: float, long: float) -> str | None:
        """The district that holds the point, on a common border the smaller one; None outside of all."""
        if not (math.isfinite(lat) and math.isfinite(long)):
            return None
        holding = self._tree.query(shapely.Point(long, lat), predicate="intersects")
        if not len(holding):
            return None
        return self._names[min(holding, key=lambda index: self._polygons[index].area)]


def read_outlines(path: Path, districts: Collection[str]) -> Outlines | None:
    """The GeoJSON FeatureCollection (RFC 7946) of `path`, each feature with `district` in its properties.

    None where there is no such file. Raises ConfigError with file, line and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}:1: the file is not UTF-8: save it as UTF-8") from None
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}): correct it or export it anew"
        ) from None
    features = data.get("features") if isinstance(data, dict) else None
    if not isinstance(features, list) or not features:
        raise ConfigError(f"{path}:1: no features: export the districts as a GeoJSON FeatureCollection")
    polygons: dict[str, BaseGeometry] = {}
    for number, feature in enumerate(features, 1):
        name = _name(feature)
        where = f"{path}:{_line(text, name)}: feature {number}"
        if name not in districts:
            raise ConfigError(f"{where}: district {name!r} is not in city.yml: write its name as properties.district")
        if name in polygons:
            raise ConfigError(f"{where}: {name} is there twice: make one MultiPolygon of them")
        polygons[name] = _polygon(where, feature)
    for one, other in combinations(polygons, 2):
        shared = polygons[one].intersection(polygons[other]).area
        if shared > _OVERLAP * min(polygons[one].area, polygons[other].area):
            raise ConfigError(
                f"{path}:{_line(text, other)}: {other} overlaps {one}: draw the border between them once, for both"
            )
    return Outlines(polygons)


def _polygon(where: str, feature: dict[str, Any]) -> BaseGeometry:
    geometry = feature.get("geometry")
    if not isinstance(geometry, dict) or geometry.get("type") not in ("Polygon", "MultiPolygon"):
        raise ConfigError(f"{where}: the geometry is no Polygon or MultiPolygon: export the area, not its border")
    try:
        polygon = shape(geometry)
    except (shapely.GEOSException, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ConfigError(f"{where}: broken coordinates ({error}): write rings of [longitude, latitude]") from None
    if polygon.is_empty:
        raise ConfigError(f"{where}: the polygon is empty: draw it or remove the feature")
    left, low, right, high = polygon.bounds
    if not all(map(math.isfinite, polygon.bounds)):
        raise ConfigError(f"{where}: broken coordinates: write numbers as [longitude, latitude]")
    if max(abs(low), abs(high)) > 90 >= max(abs(left), abs(right)):
        raise ConfigError(f"{where}: latitude and longitude are swapped: write [longitude, latitude]")
    if max(abs(low), abs(high)) > 90 or max(abs(left), abs(right)) > 180:
        raise ConfigError(f"{where}: coordinates beyond the earth: convert them to degrees of WGS 84")
    if not polygon.is_valid:
        raise ConfigError(
            f"{where}: the polygon crosses itself ({shapely.is_valid_reason(polygon)}): redraw that border"
        )
    return polygon


def _name(feature: Any) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    return str(properties.get("district")) if isinstance(properties, dict) else "None"


def _line(text: str, name: str) -> int:
    at = text.rfind(f'"{name}"')
    return text.count("\n", 0, max(at, 0)) + 1
