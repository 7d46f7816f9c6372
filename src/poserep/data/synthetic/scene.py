"""Compose a picture: people, seats, occluders, camera, light, background and the camera's own defects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.annotate import Instance, View, instances
from poserep.data.synthetic.background import backdrop, floor_shadow
from poserep.data.synthetic.body import person_parts
from poserep.data.synthetic.camera import Camera, portrait_camera, street_camera
from poserep.data.synthetic.poses import sample_pose
from poserep.data.synthetic.props import PROPS, Stage, seat
from poserep.data.synthetic.raster import cast, part_table
from poserep.data.synthetic.shade import sample_light, shade
from poserep.data.synthetic.skeleton3d import Figure, forward, sample_proportions
from poserep.data.synthetic.wardrobe import sample_look

LEVELS = ("easy", "hard")
SUPERSAMPLING = 2
Pixels = NDArray[np.float32]
Rng = np.random.Generator
Crowd = Callable[[Rng, Camera], list[tuple[float, float]]]
_CROWD = (0.26, 0.25, 0.20, 0.14, 0.09, 0.06)


@dataclass(frozen=True)
class Picture:
    """A finished picture: RGB bytes (H, W, 3), its people, the JPEG quality to store it with, and what was cast."""

    image: NDArray[np.uint8]
    people: list[Instance]
    quality: int
    view: View


def _yaw(rng: Rng, level: str) -> float:
    """Heading in degrees, 0 towards the camera; frontal headings are the most frequent."""
    if rng.random() < (0.75 if level == "easy" else 0.55):
        return float(np.clip(rng.normal(0.0, 38.0), -75.0, 75.0))
    return float(rng.uniform(75.0, 285.0))


def _person(rng: Rng, level: str, place: tuple[float, float]) -> Figure:
    return forward(sample_proportions(rng), sample_pose(rng, level), _yaw(rng, level), place)


def street_crowd(rng: Rng, camera: Camera) -> list[tuple[float, float]]:
    """Ground positions (x, z) in metres, some side by side or one behind the other, none inside another."""
    places: list[tuple[float, float]] = []
    wanted = 1 + int(rng.choice(len(_CROWD), p=_CROWD))
    nearest = rng.uniform(2.3, 5.0)
    for _ in range(wanted * 6):
        if len(places) == wanted:
            break
        if places and rng.random() < 0.6:
            x0, z0 = places[int(rng.integers(len(places)))]
            x, z = x0 + rng.choice([-1, 1]) * rng.uniform(0.25, 0.9), z0 + rng.uniform(-0.9, 0.6)
        else:
            distance = nearest + rng.gamma(1.5, 1.2)
            x, z = rng.uniform(-0.95, 0.95) * distance * camera.width / (2 * camera.focal), -distance
        if z < -1.7 and all(np.hypot(x - a, z - b) > 0.45 for a, b in places):
            places.append((float(x), float(z)))
    return places


def _scatter(rng: Rng, stage: Stage, camera: Camera, places: list[tuple[float, float]]) -> None:
    """Put things between the camera and the people, and behind them."""
    for _ in range(int(rng.choice(4, p=[0.30, 0.36, 0.22, 0.12]))):
        x, z = places[int(rng.integers(len(places)))]
        share = rng.uniform(0.55, 0.88)
        spot = np.array([x * share + rng.normal(0.0, 0.30), 0.0, z * share])
        if min(np.hypot(spot[0] - a, spot[2] - b) for a, b in places) > 0.5 and spot[2] < -1.2:
            PROPS[int(rng.integers(len(PROPS)))](stage, rng, spot, float(rng.uniform(-70, 70)))
    for _ in range(int(rng.integers(0, 5))):
        distance = rng.uniform(4.0, 10.0)
        spot = np.array([rng.uniform(-0.6, 0.6) * distance * camera.width / camera.focal, 0.0, -distance])
        if min(np.hypot(spot[0] - a, spot[2] - b) for a, b in places) > 0.8:
            PROPS[int(rng.integers(len(PROPS)))](stage, rng, spot, float(rng.uniform(-70, 70)))


def _lens(rng: Rng, image: Pixels, level: str) -> Pixels:
    """Blur, colour cast, vignette and sensor noise; all of them leave keypoints where they are."""
    height, width = image.shape[:2]
    if level == "easy":
        return image + 0.006 * rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.25:
        length, angle = int(rng.integers(1, 4)), rng.uniform(0.0, np.pi)
        kernel = np.zeros((2 * length + 1, 2 * length + 1), dtype=np.float32)
        reach = np.array([np.cos(angle), np.sin(angle)]) * length
        a, b = (length - reach).round().astype(int), (length + reach).round().astype(int)
        cv2.line(kernel, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 1.0)
        # A one-sided kernel would shift the picture against its keypoints.
        kernel += kernel[::-1, ::-1]
        image = cv2.filter2D(image, -1, kernel / kernel.sum()).astype(np.float32, copy=False)
    elif rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.1))).astype(np.float32, copy=False)
    if rng.random() < 0.6:
        image = image * (1.0 + rng.normal(0.0, 0.05, 3)).astype(np.float32)
    image = np.power(np.clip(image, 0.0, 1.0), np.float32(np.exp(rng.normal(0.0, 0.14))))
    if rng.random() < 0.4:
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
        image = image * (1.0 - rng.uniform(0.05, 0.3) * (x * x + y * y) / 2.0)[..., None].astype(np.float32)
    grain = float(rng.choice([0.004, 0.012, 0.03], p=[0.4, 0.4, 0.2]))
    return image + grain * rng.standard_normal(image.shape, dtype=np.float32)


def _stage_easy(rng: Rng) -> tuple[Camera, list[Figure]]:
    width, height = (int(v) for v in rng.integers(176, 225, 2))
    figure = _person(rng, "easy", (0.0, 0.0))
    wanted = min(rng.uniform(122.0, 178.0), 0.93 * height)
    return portrait_camera(rng, figure, width, height, float(wanted)), [figure]


def _stage_hard(rng: Rng, people: int | None, crowd: Crowd) -> tuple[Camera, list[Figure], list[tuple[float, float]]]:
    width, height = ((320, 240), (400, 300), (480, 360), (426, 320), (480, 320), (360, 360))[int(rng.integers(6))]
    camera = street_camera(rng, width, height)
    places = crowd(rng, camera)[:people]
    return camera, [_person(rng, "hard", place) for place in places], places


def compose(rng: Rng, level: str, people: int | None = None, crowd: Crowd = street_crowd) -> Picture:
    """Draw one picture.

    Args:
        rng: Source of every choice.
        level: "easy" or "hard".
        people: Keep only the first so many people; None keeps all.
        crowd: Where they stand in a "hard" picture: ground positions (x, z) in metres, before the camera at z < 0.

    Returns:
        The picture with one entry per person of whom at least one pixel shows.
    """
    stage = Stage()
    if level == "easy":
        camera, figures = _stage_easy(rng)
    else:
        camera, figures, places = _stage_hard(rng, people, crowd)
    for owner, figure in enumerate(figures):
        look = sample_look(rng, figure.body)
        stage.parts += person_parts(figure, look, stage.add(*look.materials), owner)
    for figure in figures:
        if figure.pose.seated:
            seat(stage, rng, figure)
    if level == "hard":
        _scatter(rng, stage, camera, places)
    light = sample_light(rng, 55.0 if level == "easy" else 110.0)
    table = part_table(stage.parts, camera, SUPERSAMPLING)
    buffer = cast(table, camera, SUPERSAMPLING)
    color, cover = shade(buffer, table, stage.materials, light, camera, SUPERSAMPLING)
    behind, floor = backdrop(rng, camera, level == "hard")
    behind = behind * (1.0 - floor * floor_shadow(stage.parts, camera, light.direction))[..., None]
    if level == "hard" and rng.random() < 0.3:
        behind = cv2.GaussianBlur(behind, (0, 0), float(rng.uniform(0.8, 2.5))).astype(np.float32, copy=False)
    image = _lens(rng, color + (1.0 - cover)[..., None] * behind, level)
    quality = 93 if level == "easy" else int(rng.integers(45, 96))
    final = np.clip(np.rint(image * np.float32(255.0)), 0, 255).astype(np.uint8)
    view = View(figures, camera, buffer, table, SUPERSAMPLING)
    return Picture(final, instances(figures, camera, buffer, table, SUPERSAMPLING), quality, view)
