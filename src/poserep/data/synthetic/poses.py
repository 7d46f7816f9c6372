"""A mixture of everyday and sporting poses, drawn within anatomical limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from poserep.data.synthetic.skeleton3d import Arm, Leg, Pose

Triple = tuple[float, float, float]
Rng = np.random.Generator


def _u(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _sway(rng: Rng, scale: float) -> Triple:
    pitch, roll, yaw = rng.normal(0.0, 1.0, 3).clip(-2.0, 2.0) * scale
    return float(pitch), float(roll), float(yaw)


def _idle_arm(rng: Rng) -> Arm:
    """One arm of somebody who stands about: hanging, on the hip, holding something, scratching the head."""
    kind = rng.choice(["hang", "bent", "hip", "phone", "front", "wave"], p=[0.40, 0.20, 0.14, 0.10, 0.09, 0.07])
    if kind == "hang":
        return Arm(_u(rng, -12, 15), _u(rng, 7, 18), 0.0, _u(rng, -10, 25), _u(rng, 4, 32))
    if kind == "bent":
        return Arm(_u(rng, -8, 30), _u(rng, 8, 25), 0.0, _u(rng, -15, 35), _u(rng, 40, 95))
    if kind == "hip":
        return Arm(_u(rng, -22, -6), _u(rng, 38, 50), 0.0, _u(rng, 62, 80), _u(rng, 84, 98))
    if kind == "phone":
        return Arm(_u(rng, 20, 45), _u(rng, 12, 28), 0.0, _u(rng, 0, 25), _u(rng, 115, 138))
    if kind == "front":
        return Arm(_u(rng, 18, 35), _u(rng, 8, 18), 0.0, _u(rng, 48, 72), _u(rng, 75, 105))
    return Arm(_u(rng, 5, 25), _u(rng, 75, 105), 0.0, _u(rng, -105, -75), _u(rng, 60, 120))


def _stand_legs(rng: Rng) -> tuple[Leg, Leg]:
    spread = _u(rng, 2, 10)

    def leg() -> Leg:
        knee = abs(float(rng.normal(0, 5)))
        return Leg(knee * 0.5 + float(rng.normal(0, 2.5)), spread + _u(rng, -1, 3), _u(rng, 2, 18), knee)

    return leg(), leg()


def stand(rng: Rng) -> Pose:
    """Standing about, arms at rest."""
    arm = _idle_arm(rng)
    both = rng.random() < 0.35
    return Pose(
        "stand",
        lumbar=_sway(rng, 3.0),
        chest=_sway(rng, 3.5),
        neck=_sway(rng, 9.0),
        arms=(arm, arm if both else _idle_arm(rng)),
        legs=_stand_legs(rng),
    )


def _stride(rng: Rng, name: str, swing: float, knee: float, arm_swing: float, elbow: Triple, lean: float) -> Pose:
    phase = _u(rng, 0.0, 2.0 * np.pi)
    legs, arms = [], []
    for shift in (0.0, np.pi):
        p = phase + shift
        forward, lifting = float(np.sin(p)), max(0.0, float(np.cos(p)))
        bend = 6.0 + knee * lifting + 0.25 * knee * max(0.0, -forward)
        flex = swing * forward + 0.25 * swing + 0.3 * bend * lifting
        toe = 0.9 * swing * max(0.0, -forward) + 20.0 * lifting - 10.0 * max(0.0, forward)
        legs.append(Leg(flex + lean, _u(rng, 0, 4), _u(rng, 2, 8), bend, toe - lean))
        bent = elbow[0] + elbow[1] * max(0.0, -forward) + elbow[2] * float(rng.normal(0, 0.5))
        arms.append(Arm(-arm_swing * forward + lean * 0.5, _u(rng, 6, 16), 0.0, _u(rng, 5, 30), max(5.0, bent)))
    twist = -float(np.sin(phase)) * swing * 0.35
    return Pose(
        name,
        root=(lean, 0.0, -twist * 0.4),
        lumbar=(lean * 0.3, float(rng.normal(0, 2)), twist * 0.5),
        chest=(0.0, float(rng.normal(0, 2)), twist),
        neck=(-lean * 0.8 + float(rng.normal(0, 5)), float(rng.normal(0, 4)), float(rng.normal(0, 12))),
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
    )


def walk(rng: Rng) -> Pose:
    """One phase of a walking cycle."""
    return _stride(rng, "walk", _u(rng, 14, 26), _u(rng, 28, 48), _u(rng, 12, 28), (14.0, 28.0, 6.0), _u(rng, 0, 5))


def run(rng: Rng) -> Pose:
    """One phase of a running cycle, now and then with both feet off the ground."""
    pose = _stride(rng, "run", _u(rng, 32, 50), _u(rng, 70, 105), _u(rng, 32, 55), (75.0, 30.0, 10.0), _u(rng, 5, 14))
    return replace(pose, lift=max(0.0, _u(rng, -0.10, 0.12)))


def sit(rng: Rng) -> Pose:
    """Sitting on a seat."""
    lean = _u(rng, -10, 18)
    crossed = rng.random() < 0.25

    def leg() -> Leg:
        flex = _u(rng, 80, 95) - lean * 0.2
        return Leg(flex, _u(rng, 4, 16), _u(rng, -4, 8), flex + _u(rng, -22, 12), _u(rng, -4, 6))

    left, right = leg(), leg()
    if crossed:
        right = Leg(108.0, -12.0, -8.0, _u(rng, 75, 95), 25.0)
    arms = []
    for _ in range(2):
        resting = Arm(_u(rng, 18, 38) + lean * 0.3, _u(rng, 6, 20), 0.0, _u(rng, 5, 40), _u(rng, 40, 75))
        arms.append(resting if rng.random() < 0.75 else _idle_arm(rng))
    return Pose(
        "sit",
        root=(-4.0, 0.0, 0.0),
        lumbar=(lean * 0.5, *_sway(rng, 3.0)[1:]),
        chest=(lean * 0.5 + 3.0, *_sway(rng, 4.0)[1:]),
        neck=_sway(rng, 10.0),
        arms=(arms[0], arms[1]),
        legs=(left, right),
        seated=True,
    )


def reach(rng: Rng) -> Pose:
    """Reaching forwards, upwards or sideways with one arm."""
    side = _u(rng, 0, 80)
    arm = Arm(_u(rng, 60, 150), _u(rng, 0, 15), -side * 0.6, _u(rng, -20, 20), _u(rng, 3, 35))
    base = stand(rng)
    lean = _u(rng, 0, 14)
    return replace(
        base,
        name="reach",
        lumbar=(lean, _u(rng, -6, 6), -_u(rng, 0, 10)),
        neck=(-lean * 0.5 + _u(rng, -14, 4), _u(rng, -6, 6), _u(rng, -5, 22)),
        arms=(arm, base.arms[1]),
    )


def arms_raised(rng: Rng) -> Pose:
    """Both arms up: cheering, a T, a V, hands behind the head."""
    base = stand(rng)
    kind = rng.choice(["v", "t", "flex", "head"])
    spread, wobble = _u(rng, 0, 1), rng.normal(0, 6, 4)
    if kind == "v":
        made = [Arm(_u(rng, -5, 15), 120 + 45 * spread + wobble[i], 0.0, -20.0, _u(rng, 3, 35)) for i in range(2)]
    elif kind == "t":
        made = [Arm(_u(rng, -5, 5), 84 + wobble[i], _u(rng, 0, 20), 0.0, _u(rng, 2, 18)) for i in range(2)]
    elif kind == "flex":
        made = [Arm(0.0, 84 + wobble[i], _u(rng, -8, 15), -90 + wobble[2 + i], _u(rng, 75, 120)) for i in range(2)]
    else:
        made = [Arm(0.0, 108 + wobble[i], _u(rng, 0, 15), -88 + wobble[2 + i], _u(rng, 128, 140)) for i in range(2)]
    return replace(base, name="arms_raised", arms=(made[0], made[1]))


def jump(rng: Rng) -> Pose:
    """In the air: a star, a tuck or a leap."""
    if rng.random() < 0.5:
        legs = tuple(Leg(_u(rng, 0, 15), _u(rng, 16, 34), 12.0, _u(rng, 2, 30), _u(rng, 15, 40)) for _ in range(2))
        arms = tuple(Arm(0.0, _u(rng, 90, 160), 0.0, -25.0, _u(rng, 3, 35)) for _ in range(2))
    else:
        legs = tuple(Leg(_u(rng, 5, 75), _u(rng, 2, 14), 5.0, _u(rng, 30, 105), _u(rng, 15, 40)) for _ in range(2))
        arms = tuple(Arm(_u(rng, -30, 140), _u(rng, 15, 60), 0.0, 0.0, _u(rng, 10, 90)) for _ in range(2))
    return Pose(
        "jump",
        lumbar=(_u(rng, -8, 12), *_sway(rng, 4.0)[1:]),
        chest=_sway(rng, 4.0),
        neck=(_u(rng, -12, 8), *_sway(rng, 7.0)[1:]),
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
        lift=_u(rng, 0.12, 0.45),
    )


def bend(rng: Rng) -> Pose:
    """Bending over, squatting or lunging."""
    kind = rng.choice(["bow", "squat", "lunge"])
    arms = tuple(Arm(_u(rng, 30, 85), _u(rng, 5, 25), 0.0, _u(rng, 0, 25), _u(rng, 5, 70)) for _ in range(2))
    if kind == "bow":
        root, trunk = _u(rng, 20, 50), _u(rng, 10, 24)
        legs = tuple(Leg(root + k * 0.5, _u(rng, 3, 9), 8.0, k, -root) for k in rng.uniform(3, 28, 2).tolist())
        look = -0.4 * (root + trunk)
    elif kind == "squat":
        root, trunk, depth = _u(rng, 10, 28), _u(rng, 2, 12), _u(rng, 50, 105)
        legs = tuple(Leg(depth + root * 0.6, _u(rng, 8, 20), 12.0, depth * 1.12, -root) for _ in range(2))
        look = -0.7 * (root + trunk)
    else:
        root, trunk, depth = _u(rng, 0, 14), _u(rng, 0, 10), _u(rng, 45, 78)
        legs = (Leg(depth + root, 4.0, 3.0, depth, -root), Leg(root - 25.0, 4.0, 3.0, depth * 0.6, 50.0 - root))
        look = -0.6 * root
    return Pose(
        "bend",
        root=(root, 0.0, 0.0),
        lumbar=(trunk, *_sway(rng, 3.0)[1:]),
        chest=(trunk, *_sway(rng, 3.0)[1:]),
        neck=(look + float(rng.normal(0, 6)), *_sway(rng, 7.0)[1:]),
        arms=(arms[0], arms[1]),
        legs=(legs[0], legs[1]),
    )


def sport(rng: Rng) -> Pose:
    """A kick, a throw, a serve or a balance."""
    kind = rng.choice(["kick", "throw", "serve", "balance"])
    stance = Leg(_u(rng, 0, 12), 5.0, 12.0, _u(rng, 5, 22))
    if kind == "kick":
        leg = Leg(_u(rng, 40, 85), _u(rng, 0, 25), 5.0, _u(rng, 5, 50), _u(rng, 10, 40))
        arms = (Arm(_u(rng, 20, 60), _u(rng, 30, 70), 0.0, 0.0, _u(rng, 20, 80)), Arm(-20.0, _u(rng, 35, 80)))
        return Pose(
            "sport", (-6.0, 0.0, 0.0), (-4.0, 0.0, 8.0), (0.0, 0.0, 12.0), (8.0, 0.0, -10.0), arms, (stance, leg)
        )
    if kind == "throw":
        arms = (
            Arm(_u(rng, 55, 90), 10.0, _u(rng, -30, 15), 0.0, _u(rng, 5, 40)),
            Arm(0.0, _u(rng, 80, 100), _u(rng, -25, -5), -90.0, _u(rng, 70, 115)),
        )
        legs = (
            Leg(_u(rng, 20, 40), 8.0, 5.0, _u(rng, 15, 40)),
            Leg(_u(rng, -25, -10), 10.0, 15.0, _u(rng, 10, 30), 15.0),
        )
        return Pose("sport", (3.0, 0.0, -10.0), (0.0, -4.0, -10.0), (-4.0, 0.0, -15.0), (0.0, 0.0, 28.0), arms, legs)
    if kind == "serve":
        arms = (
            Arm(_u(rng, 140, 168), 5.0, 0.0, 0.0, _u(rng, 3, 15)),
            Arm(10.0, _u(rng, 85, 110), -10.0, -80.0, _u(rng, 90, 125)),
        )
        return Pose(
            "sport", (0.0, 0.0, 0.0), (-10.0, 4.0, -6.0), (-8.0, 0.0, -6.0), (-18.0, 0.0, 8.0), arms, _stand_legs(rng)
        )
    leg = Leg(_u(rng, 45, 70), _u(rng, 25, 42), _u(rng, 10, 25), _u(rng, 95, 130), 30.0)
    arms = (
        Arm(0.0, _u(rng, 70, 165), 0.0, -10.0, _u(rng, 3, 30)),
        Arm(0.0, _u(rng, 70, 165), 0.0, -10.0, _u(rng, 3, 30)),
    )
    return Pose("sport", lumbar=(0.0, 3.0, 0.0), neck=_sway(rng, 5.0), arms=arms, legs=(stance, leg))


_MAKERS: tuple[Callable[[Rng], Pose], ...] = (stand, walk, run, sit, reach, arms_raised, jump, bend, sport)
_WEIGHTS = {
    "easy": (0.34, 0.20, 0.06, 0.04, 0.14, 0.13, 0.04, 0.02, 0.03),
    "hard": (0.22, 0.17, 0.11, 0.11, 0.10, 0.09, 0.05, 0.08, 0.07),
}


def sample_pose(rng: Rng, level: str) -> Pose:
    """Draw a pose from the level's mixture; left and right are exchanged half of the time."""
    maker = _MAKERS[int(rng.choice(len(_MAKERS), p=np.array(_WEIGHTS[level])))]
    pose = maker(rng)
    return pose.mirrored() if rng.random() < 0.5 else pose
