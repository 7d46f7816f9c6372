"""Compose a picture: people, seats, props, camera, light, background, and the defects of a real camera."""

import cv2
import numpy as np

from poserep.data.synthetic.annotate import CameraView
from poserep.data.synthetic.background import backdrop, blurred, floor_shadow
from poserep.data.synthetic.body import dressed
from poserep.data.synthetic.camera import PinholeCamera, portrait_camera, street_camera
from poserep.data.synthetic.clothes import Look
from poserep.data.synthetic.group import Group
from poserep.data.synthetic.poses import sample_pose
from poserep.data.synthetic.props import PROPS, Stage, seat
from poserep.data.synthetic.raycast import RayHits
from poserep.data.synthetic.shading import Light, shaded
from poserep.data.synthetic.skeleton3d import Figure, Proportions
from poserep.data.synthetic.world import Pixels, Place, Rng

LEVELS = ("easy", "hard", "scenes")
_SIZES = ((320, 240), (400, 300), (480, 360), (426, 320), (480, 320), (360, 360))
# How likely 1, 2, ... people are in a crowd.
_CROWD = (0.26, 0.25, 0.20, 0.14, 0.09, 0.06)


def _person(rng: Rng, level: str, place: Place) -> Figure:
    body, pose = Proportions(rng), sample_pose(rng, level)
    # Headings towards the camera are the most frequent.
    if rng.random() < (0.75 if level == "easy" else 0.55):
        return Figure(body, pose, float(np.clip(rng.normal(0.0, 38.0), -75.0, 75.0)), place)
    return Figure(body, pose, float(rng.uniform(75.0, 285.0)), place)


def _street_crowd(rng: Rng, camera: PinholeCamera) -> list[Place]:
    """Draw places, some side by side or one behind the other, none inside another; metres."""
    places: list[Place] = []
    count = 1 + int(rng.choice(len(_CROWD), p=_CROWD))
    nearest = rng.uniform(2.3, 5.0)
    for _ in range(count * 6):
        if len(places) == count:
            break
        if places and rng.random() < 0.6:
            x0, z0 = places[int(rng.integers(len(places)))]
            x, z = x0 + rng.choice([-1, 1]) * rng.uniform(0.25, 0.9), z0 + rng.uniform(-0.9, 0.6)
        else:
            distance = nearest + rng.gamma(1.5, 1.2)
            x, z = rng.uniform(-0.95, 0.95) * distance * camera.width / (2 * camera.focal), -distance
        if z < -1.7 and _room((x, z), places) > 0.45:
            places.append((float(x), float(z)))
    return places


def _room(place: Place, places: list[Place]) -> float:
    """Return the distance to the nearest of other places."""
    return min((float(np.hypot(place[0] - x, place[1] - z)) for x, z in places), default=np.inf)


def _scatter(rng: Rng, stage: Stage, camera: PinholeCamera, places: list[Place]) -> None:
    """Put props between the camera and the people, and behind them."""

    def put(x: float, z: float) -> None:
        prop = PROPS[int(rng.integers(len(PROPS)))]
        prop(stage, rng, np.array([x, 0.0, z]), float(rng.uniform(-70, 70)))

    for _ in range(int(rng.choice(4, p=[0.30, 0.36, 0.22, 0.12]))):
        x, z = places[int(rng.integers(len(places)))]
        share = rng.uniform(0.55, 0.88)
        x, z = x * share + rng.normal(0.0, 0.30), z * share
        if _room((x, z), places) > 0.5 and z < -1.2:
            put(x, z)
    for _ in range(int(rng.integers(0, 5))):
        distance = rng.uniform(4.0, 10.0)
        x, z = rng.uniform(-0.6, 0.6) * distance * camera.width / camera.focal, -distance
        if _room((x, z), places) > 0.8:
            put(x, z)


def _lens(rng: Rng, image: Pixels) -> Pixels:
    """Add blur, colour cast, vignette and sensor noise; all of them leave keypoints where they are."""
    height, width = image.shape[:2]
    if rng.random() < 0.25:
        length, angle = int(rng.integers(1, 4)), rng.uniform(0.0, np.pi)
        kernel = np.zeros((2 * length + 1, 2 * length + 1), dtype=np.float32)
        reach = np.array([np.cos(angle), np.sin(angle)]) * length
        a, b = ((length + s * reach).round().astype(int).tolist() for s in (-1, 1))
        cv2.line(kernel, a, b, 1.0)
        # A one-sided kernel would shift the picture against its keypoints.
        kernel += kernel[::-1, ::-1]
        image = cv2.filter2D(image, -1, kernel / kernel.sum()).astype(np.float32, copy=False)
    elif rng.random() < 0.2:
        image = blurred(image, float(rng.uniform(0.4, 1.1)))
    if rng.random() < 0.6:
        image = image * (1.0 + rng.normal(0.0, 0.05, 3)).astype(np.float32)
    image = np.power(np.clip(image, 0.0, 1.0), np.float32(np.exp(rng.normal(0.0, 0.14))))
    if rng.random() < 0.4:
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
        image = image * (1.0 - rng.uniform(0.05, 0.3) * (x * x + y * y) / 2.0)[..., None].astype(np.float32)
    grain = float(rng.choice([0.004, 0.012, 0.03], p=[0.4, 0.4, 0.2]))
    return image + grain * rng.standard_normal(image.shape, dtype=np.float32)


class DrawnImage:
    """A picture: RGB bytes (H, W, 3), the JPEG quality to store it with, and the view that labels its people.

    It is drawn at random for a level, one of `LEVELS`; the first ``people`` of its people are kept, or all (None), and
    a far crowd.
    """

    def __init__(self, rng: Rng, level: str, people: int | None = None) -> None:
        stage, hard = Stage(), level == "hard"
        crowd: list[Figure] = []
        if hard:
            wall = (6.0, 11.0)
            camera = street_camera(rng, *_SIZES[int(rng.integers(len(_SIZES)))])
            places = _street_crowd(rng, camera)[:people]
            figures = [_person(rng, level, place) for place in places]
        elif level == "scenes":
            group = Group.sample(rng)
            wall, camera = (group.depth + 1.0, group.depth + 4.0), group.camera
            figures = [_person(rng, "easy", place) for place in group.places[:people]]
            crowd = [_person(rng, "easy", place) for place in group.crowd]
        else:
            wall = (0.9, 2.4)
            width, height = (int(v) for v in rng.integers(176, 225, 2))
            figures = [_person(rng, level, (0.0, 0.0))]
            tall = min(rng.uniform(122.0, 178.0), 0.93 * height)
            camera = portrait_camera(rng, figures[0], width, height, float(tall))
        for i, figure in enumerate(figures + crowd):
            look = Look(rng, figure.body)
            stage.surfaces += dressed(figure, look, stage.add(*look.materials), min(i, len(figures)))
        for figure in figures + crowd:
            if figure.pose.seated:
                seat(stage, rng, figure)
        if hard:
            _scatter(rng, stage, camera, places)
        light = Light(rng, 110.0 if hard else 55.0)
        # Of an odd number of subpixels at most one person has half, so that masks are disjoint.
        hits = RayHits(stage.surfaces, camera, 3 if level == "scenes" else 2)
        self.view = CameraView(figures, hits, bool(crowd))
        color, cover = shaded(hits, stage.materials, light)
        behind, floor = backdrop(rng, camera, hard, wall)
        behind = behind * (1.0 - floor * floor_shadow(stage.surfaces, camera, light.direction))[..., None]
        if hard and rng.random() < 0.3:
            behind = blurred(behind, float(rng.uniform(0.8, 2.5)))
        image = color + (1.0 - cover)[..., None] * behind
        image = _lens(rng, image) if hard else image + 0.006 * rng.standard_normal(image.shape, dtype=np.float32)
        self.quality = int(rng.integers(45, 96)) if hard else 93
        self.image = np.clip(np.rint(image * np.float32(255.0)), 0, 255).astype(np.uint8)
