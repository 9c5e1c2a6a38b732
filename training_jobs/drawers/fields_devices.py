"""What is put on and into a patient, drawn as bright lines and bodies in the picture's own pixels."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from training_jobs.drawers.fields_chest import Chest
from training_jobs.drawers.fields_grid import Grid

Points = list[tuple[float, float]]


class _Pen:
    """Draws in body coordinates on an 8-bit grid, twice as fine as the film."""

    def __init__(self, rng: np.random.Generator, chest: Chest) -> None:
        self.rng, self.chest = rng, chest
        self.picture = Image.new("L", (2 * chest.side, 2 * chest.side))
        self.draw = ImageDraw.Draw(self.picture)

    def curve(self, points: Points, width: float, ink: int) -> None:
        """A smooth line through the points; the width is in pixels."""
        shaken = np.asarray(points) + self.rng.normal(0, 0.015, (len(points), 2))
        at, fine = np.arange(len(points)), np.linspace(0, len(points) - 1, 16 * len(points))
        path = np.stack([np.interp(fine, at, shaken[:, axis]) for axis in (0, 1)])
        window = np.hanning(15)[1:-1] / np.hanning(15).sum()
        path = np.stack([np.convolve(np.pad(line, 6, mode="edge"), window, mode="valid") for line in path])
        pixels = 2 * self.chest.pixels(path.T)
        self.draw.line(pixels.ravel().tolist(), fill=ink, width=round(2 * width), joint="curve")

    def disc(self, u: float, v: float, radius: float, ink: int, hole: float = 0.0) -> None:
        """A filled circle, or a ring where ``hole`` is the share of the radius left out."""
        x, y = (2 * self.chest.pixels(np.array([[u, v]]))[0]).tolist()
        size = 2 * radius * self.chest.scale
        thick = max(1, round(size * (1 - hole)))
        box = (x - size, y - size, x + size, y + size)
        if hole:
            self.draw.ellipse(box, outline=ink, width=thick)
        else:
            self.draw.ellipse(box, fill=ink)


def _breathing_tube(pen: _Pen) -> None:
    tip = pen.rng.uniform(0.12, 0.27)
    pen.curve([(0.03, -0.7), (0.0, -0.35), (0.0, -0.05), (0.01, tip)], pen.rng.uniform(2.2, 3.6), 190)


def _feeding_tube(pen: _Pen) -> None:
    end = (pen.rng.uniform(0.3, 0.7), pen.rng.uniform(1.15, 1.35))
    pen.curve([(-0.02, -0.7), (0.0, -0.2), (0.05, 0.3), (0.06, 0.7), (0.12, 1.0), end], pen.rng.uniform(1.6, 2.6), 220)


def _central_line(pen: _Pen) -> None:
    start: Points = [(-0.3, -0.6), (-0.25, -0.25)]
    if pen.rng.random() < 0.5:
        sign = float(pen.rng.choice([-1.0, 1.0], p=[0.65, 0.35]))
        start = [(sign * 1.5, 0.3), (sign * 1.0, 0.08), (sign * 0.5, 0.0)]
    pen.curve([*start, (-0.17, 0.12), (-0.2, 0.3), (-0.2, pen.rng.uniform(0.38, 0.55))], pen.rng.uniform(1.4, 2.4), 215)


def _pacemaker(pen: _Pen) -> None:
    sign = -1.0 if pen.rng.random() < 0.2 else 1.0
    u, v = sign * pen.rng.uniform(0.68, 0.9), pen.rng.uniform(0.1, 0.24)
    turn = pen.rng.uniform(0, np.pi)
    angles = np.linspace(0, 2 * np.pi, 24)
    long, short = pen.rng.uniform(0.15, 0.21), pen.rng.uniform(0.12, 0.15)
    x, y = (np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** 0.6 * long, np.sin(angles) * short)
    across, down = np.cos(turn) * x - np.sin(turn) * y, (np.sin(turn) * x + np.cos(turn) * y) / pen.chest.tall
    pen.draw.polygon((2 * pen.chest.pixels(np.stack([u + across, v + down], 1))).ravel().tolist(), fill=235)
    reach = pen.chest.widest
    tips = [(reach[1] * 0.6, 0.88), (-reach[0] * 0.5, 0.68)]
    for tip in tips[: int(pen.rng.integers(1, 3))]:
        pen.curve([(u, v), (sign * 0.5, 0.05), (0.0, 0.12), (-0.17, 0.25), (-0.18, 0.55), tip], 1.8, 225)


def _electrodes(pen: _Pen) -> None:
    for _ in range(int(pen.rng.integers(3, 6))):
        sign = pen.rng.choice([-1.0, 1.0])
        u, v = (
            sign * pen.rng.uniform(0.35, 1.1),
            pen.rng.choice([pen.rng.uniform(-0.05, 0.25), pen.rng.uniform(0.6, 1.05)]),
        )
        pen.disc(u, v, pen.rng.uniform(0.04, 0.06), 200, 0.5)
        pen.disc(u, v, 0.022, 240)
        out = (sign * pen.rng.uniform(1.2, 1.7), pen.rng.uniform(-0.3, 1.4))
        middle = ((u + out[0]) / 2 + pen.rng.normal(0, 0.2), (v + out[1]) / 2 + pen.rng.normal(0, 0.12))
        pen.curve([(u, v), middle, out, (out[0] * 1.4, out[1] + 0.2)], 1.4, 175)


def _sternal_wires(pen: _Pen) -> None:
    for height in np.linspace(0.12, pen.rng.uniform(0.6, 0.8), int(pen.rng.integers(5, 8))):
        u = pen.rng.normal(0, 0.012)
        pen.disc(u, height, pen.rng.uniform(0.025, 0.04), 255, 0.6)
        pen.curve([(u - 0.02, height), (u + 0.04, height + 0.02)], 1.0, 255)


def _port(pen: _Pen) -> None:
    sign = float(pen.rng.choice([-1.0, 1.0], p=[0.75, 0.25]))
    u, v = sign * pen.rng.uniform(0.5, 0.75), pen.rng.uniform(0.14, 0.28)
    pen.disc(u, v, pen.rng.uniform(0.075, 0.1), 235, 0.4)
    pen.curve(
        [(u, v), (sign * 0.42, 0.0), (sign * 0.2, -0.02), (-0.18, 0.2), (-0.2, pen.rng.uniform(0.38, 0.5))], 1.8, 220
    )


def _chest_tube(pen: _Pen) -> None:
    sign = float(pen.rng.choice([-1.0, 1.0]))
    end = (sign * pen.rng.uniform(0.35, 0.6), pen.rng.uniform(0.08, 0.3))
    pen.curve(
        [(sign * 1.5, 0.85), (sign * 1.0, pen.rng.uniform(0.6, 0.8)), (sign * 0.8, 0.4), end],
        pen.rng.uniform(2.4, 3.6),
        200,
    )


def _valve(pen: _Pen) -> None:
    u, v = pen.rng.uniform(0.08, 0.3), pen.rng.uniform(0.58, 0.74)
    pen.disc(u, v, pen.rng.uniform(0.09, 0.12), 255, 0.7)
    _sternal_wires(pen)


_IN_BED: tuple[Callable[[_Pen], None], ...] = (
    _breathing_tube,
    _feeding_tube,
    _central_line,
    _electrodes,
    _chest_tube,
    _pacemaker,
)
_ON_FOOT: tuple[Callable[[_Pen], None], ...] = (_pacemaker, _sternal_wires, _port, _valve, _central_line, _electrodes)
_PLAIN = (_electrodes, _pacemaker, _port, _central_line, _chest_tube)  # never lost against spine and heart


def devices(rng: np.random.Generator, chest: Chest) -> Grid:
    """The density of one to four devices, shape (side, side); at least one of them is in plain sight."""
    pen = _Pen(rng, chest)
    usual = _IN_BED if chest.view == "AP" else _ON_FOOT
    _PLAIN[int(rng.choice(5, p=[0.34, 0.24, 0.16, 0.16, 0.1]))](pen)
    for put in rng.choice(len(usual), int(rng.integers(0, 4)), replace=False):
        usual[int(put)](pen)
    return np.asarray(pen.picture.reduce(2), np.float32) * np.float32(rng.uniform(0.35, 0.65) / 255)
