"""A mixture of everyday and sporting poses, drawn within anatomical limits.

Angles are numbers, or pairs (low, high) from which one is drawn.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poserep.data.synthetic.skeleton3d import Arm, Leg, Pose
from poserep.data.synthetic.world import Rng, Triple

Angle = float | tuple[float, float]

_IDLE_ARMS: dict[str, tuple[Angle, ...]] = {
    "hang": ((-12, 15), (7, 18), 0, (-10, 25), (4, 32)),
    "bent": ((-8, 30), (8, 25), 0, (-15, 35), (40, 95)),
    "hip": ((-22, -6), (38, 50), 0, (62, 80), (84, 98)),
    "phone": ((20, 45), (12, 28), 0, (0, 25), (115, 138)),
    "front": ((18, 35), (8, 18), 0, (48, 72), (75, 105)),
    "wave": ((5, 25), (75, 105), 0, (-105, -75), (60, 120)),
}


def _draw(rng: Rng, *angles: Angle) -> list[float]:
    return [float(rng.uniform(*angle)) if isinstance(angle, tuple) else angle for angle in angles]


def _arm(rng: Rng, *angles: Angle) -> Arm:
    return Arm(*_draw(rng, *angles))


def _leg(rng: Rng, *angles: Angle) -> Leg:
    return Leg(*_draw(rng, *angles))


def _arms(rng: Rng, *angles: Angle) -> tuple[Arm, Arm]:
    return _arm(rng, *angles), _arm(rng, *angles)


def _legs(rng: Rng, *angles: Angle) -> tuple[Leg, Leg]:
    return _leg(rng, *angles), _leg(rng, *angles)


def _sway(rng: Rng, scale: float) -> Triple:
    pitch, roll, yaw = rng.normal(0.0, 1.0, 3).clip(-2.0, 2.0) * scale
    return float(pitch), float(roll), float(yaw)


def _lean(rng: Rng, pitch: Angle, scale: float) -> Triple:
    return (_draw(rng, pitch)[0], *_sway(rng, scale)[1:])


def _idle_arm(rng: Rng) -> Arm:
    return _arm(rng, *_IDLE_ARMS[rng.choice(list(_IDLE_ARMS), p=[0.40, 0.20, 0.14, 0.10, 0.09, 0.07])])


def _standing_legs(rng: Rng) -> tuple[Leg, Leg]:
    (spread,) = _draw(rng, (2, 10))

    def leg() -> Leg:
        knee = abs(float(rng.normal(0, 5)))
        flex = knee * 0.5 + float(rng.normal(0, 2.5))
        outward, twist = _draw(rng, (-1, 3), (2, 18))
        return Leg(flex, spread + outward, twist, knee)

    return leg(), leg()


def _stand(rng: Rng) -> Pose:
    arm, alike = _idle_arm(rng), rng.random() < 0.35
    lumbar, chest, neck = _sway(rng, 3.0), _sway(rng, 3.5), _sway(rng, 9.0)
    arms = (arm, arm if alike else _idle_arm(rng))
    return Pose(lumbar=lumbar, chest=chest, neck=neck, arms=arms, legs=_standing_legs(rng))


def _stride(rng: Rng, elbow: Triple, *ranges: Angle) -> Pose:
    """Draw one phase of a cycle; the ranges are of legs' swing, knee, arms' swing and forward lean."""
    swing, knee, arm_swing, lean = _draw(rng, *ranges)
    (phase,) = _draw(rng, (0.0, 2.0 * np.pi))
    legs, arms = [], []
    for p in (phase, phase + np.pi):
        forward, lifting = float(np.sin(p)), max(0.0, float(np.cos(p)))
        bend = 6.0 + knee * lifting + 0.25 * knee * max(0.0, -forward)
        flex = swing * forward + 0.25 * swing + 0.3 * bend * lifting
        toe = 0.9 * swing * max(0.0, -forward) + 20.0 * lifting - 10.0 * max(0.0, forward)
        legs.append(_leg(rng, flex + lean, (0, 4), (2, 8), bend, toe - lean))
        bent = elbow[0] + elbow[1] * max(0.0, -forward) + elbow[2] * float(rng.normal(0, 0.5))
        arms.append(_arm(rng, -arm_swing * forward + lean * 0.5, (6, 16), 0, (5, 30), max(5.0, bent)))
    twist = -float(np.sin(phase)) * swing * 0.35
    return Pose(
        root=(lean, 0.0, -twist * 0.4),
        lumbar=(lean * 0.3, float(rng.normal(0, 2)), twist * 0.5),
        chest=(0.0, float(rng.normal(0, 2)), twist),
        neck=(-lean * 0.8 + float(rng.normal(0, 5)), float(rng.normal(0, 4)), float(rng.normal(0, 12))),
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
    )


def _walk(rng: Rng) -> Pose:
    return _stride(rng, (14.0, 28.0, 6.0), (14, 26), (28, 48), (12, 28), (0, 5))


def _sprint(rng: Rng) -> Pose:
    pose = _stride(rng, (75.0, 30.0, 10.0), (32, 50), (70, 105), (32, 55), (5, 14))
    return replace(pose, lift=max(0.0, *_draw(rng, (-0.10, 0.12))))


def _sit(rng: Rng) -> Pose:
    (lean,) = _draw(rng, (-10, 18))
    crossed = rng.random() < 0.25

    def leg() -> Leg:
        flex, abduct, twist, knee, toe = _draw(rng, (80, 95), (4, 16), (-4, 8), (-22, 12), (-4, 6))
        flex -= lean * 0.2
        return Leg(flex, abduct, twist, flex + knee, toe)

    left, right = leg(), leg()
    if crossed:
        right = _leg(rng, 108, -12, -8, (75, 95), 25)
    arms = []
    for _ in range(2):
        flex, *others = _draw(rng, (18, 38), (6, 20), 0, (5, 40), (40, 75))
        arms.append(Arm(flex + lean * 0.3, *others) if rng.random() < 0.75 else _idle_arm(rng))
    return Pose(
        root=(-4.0, 0.0, 0.0),
        lumbar=_lean(rng, lean * 0.5, 3.0),
        chest=_lean(rng, lean * 0.5 + 3.0, 4.0),
        neck=_sway(rng, 10.0),
        arms=(arms[0], arms[1]),
        legs=(left, right),
        seated=True,
    )


def _reach(rng: Rng) -> Pose:
    (side,) = _draw(rng, (0, 80))
    arm, base = _arm(rng, (60, 150), (0, 15), -side * 0.6, (-20, 20), (3, 35)), _stand(rng)
    lean, roll, yaw, pitch, *turn = _draw(rng, (0, 14), (-6, 6), (0, 10), (-14, 4), (-6, 6), (-5, 22))
    neck = (-lean * 0.5 + pitch, turn[0], turn[1])
    return replace(base, lumbar=(lean, roll, -yaw), neck=neck, arms=(arm, base.arms[1]))


def _arms_raised(rng: Rng) -> Pose:
    base, kind = _stand(rng), rng.choice(["v", "t", "flex", "head"])
    (spread,) = _draw(rng, (0, 1))
    shoulder, twist = np.split(rng.normal(0, 6, 4), 2)

    def arm(up: float, turn: float) -> Arm:
        if kind == "v":
            return _arm(rng, (-5, 15), 120 + 45 * spread + up, 0, -20, (3, 35))
        if kind == "t":
            return _arm(rng, (-5, 5), 84 + up, (0, 20), 0, (2, 18))
        if kind == "flex":
            return _arm(rng, 0, 84 + up, (-8, 15), -90 + turn, (75, 120))
        return _arm(rng, 0, 108 + up, (0, 15), -88 + turn, (128, 140))

    return replace(base, arms=(arm(shoulder[0], twist[0]), arm(shoulder[1], twist[1])))


def _jump(rng: Rng) -> Pose:
    if rng.random() < 0.5:
        legs = _legs(rng, (0, 15), (16, 34), 12, (2, 30), (15, 40))
        arms = _arms(rng, 0, (90, 160), 0, -25, (3, 35))
    else:
        legs = _legs(rng, (5, 75), (2, 14), 5, (30, 105), (15, 40))
        arms = _arms(rng, (-30, 140), (15, 60), 0, 0, (10, 90))
    lumbar = _lean(rng, (-8, 12), 4.0)
    chest = _sway(rng, 4.0)
    neck = _lean(rng, (-12, 8), 7.0)
    return Pose(lumbar=lumbar, chest=chest, neck=neck, arms=arms, legs=legs, lift=_draw(rng, (0.12, 0.45))[0])


def _stoop(rng: Rng) -> Pose:
    kind = rng.choice(["bow", "squat", "lunge"])
    arms = _arms(rng, (30, 85), (5, 25), 0, (0, 25), (5, 70))
    if kind == "bow":
        root, trunk = _draw(rng, (20, 50), (10, 24))
        left, right = (_leg(rng, root + k * 0.5, (3, 9), 8, k, -root) for k in rng.uniform(3, 28, 2).tolist())
        look = -0.4 * (root + trunk)
    elif kind == "squat":
        root, trunk, depth = _draw(rng, (10, 28), (2, 12), (50, 105))
        left, right = _legs(rng, depth + root * 0.6, (8, 20), 12, depth * 1.12, -root)
        look = -0.7 * (root + trunk)
    else:
        root, trunk, depth = _draw(rng, (0, 14), (0, 10), (45, 78))
        left, right = Leg(depth + root, 4.0, 3.0, depth, -root), Leg(root - 25, 4.0, 3.0, depth * 0.6, 50 - root)
        look = -0.6 * root
    lumbar, chest = _lean(rng, trunk, 3.0), _lean(rng, trunk, 3.0)
    neck = _lean(rng, look + float(rng.normal(0, 6)), 7.0)
    return Pose((root, 0.0, 0.0), lumbar, chest, neck, arms, (left, right))


def _sport(rng: Rng) -> Pose:
    kind = rng.choice(["kick", "throw", "serve", "balance"])
    stance = _leg(rng, (0, 12), 5, 12, (5, 22))
    if kind == "kick":
        leg = _leg(rng, (40, 85), (0, 25), 5, (5, 50), (10, 40))
        arms = (_arm(rng, (20, 60), (30, 70), 0, 0, (20, 80)), _arm(rng, -20, (35, 80)))
        return Pose((-6, 0, 0), (-4, 0, 8), (0, 0, 12), (8, 0, -10), arms, (stance, leg))
    if kind == "throw":
        arms = (_arm(rng, (55, 90), 10, (-30, 15), 0, (5, 40)), _arm(rng, 0, (80, 100), (-25, -5), -90, (70, 115)))
        legs = (_leg(rng, (20, 40), 8, 5, (15, 40)), _leg(rng, (-25, -10), 10, 15, (10, 30), 15))
        return Pose((3, 0, -10), (0, -4, -10), (-4, 0, -15), (0, 0, 28), arms, legs)
    if kind == "serve":
        arms = (_arm(rng, (140, 168), 5, 0, 0, (3, 15)), _arm(rng, 10, (85, 110), -10, -80, (90, 125)))
        return Pose((0, 0, 0), (-10, 4, -6), (-8, 0, -6), (-18, 0, 8), arms, _standing_legs(rng))
    leg = _leg(rng, (45, 70), (25, 42), (10, 25), (95, 130), 30)
    arms = _arms(rng, 0, (70, 165), 0, -10, (3, 30))
    return Pose(lumbar=(0, 3, 0), neck=_sway(rng, 5.0), arms=arms, legs=(stance, leg))


# How often each kind of pose is drawn, by level.
_MIXTURE: dict[Callable[[Rng], Pose], dict[str, float]] = {
    _stand: {"easy": 0.34, "hard": 0.22},
    _walk: {"easy": 0.20, "hard": 0.17},
    _sprint: {"easy": 0.06, "hard": 0.11},
    _sit: {"easy": 0.04, "hard": 0.11},
    _reach: {"easy": 0.14, "hard": 0.10},
    _arms_raised: {"easy": 0.13, "hard": 0.09},
    _jump: {"easy": 0.04, "hard": 0.05},
    _stoop: {"easy": 0.02, "hard": 0.08},
    _sport: {"easy": 0.03, "hard": 0.07},
}


def sample_pose(rng: Rng, level: str) -> Pose:
    """Draw a pose from the mixture of a level; left and right are exchanged half of the time."""
    index = int(rng.choice(len(_MIXTURE), p=[share[level] for share in _MIXTURE.values()]))
    pose = list(_MIXTURE)[index](rng)
    return pose.mirrored() if rng.random() < 0.5 else pose
