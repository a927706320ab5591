"""A small ray tracer: spheres and a sign on a stone floor under a cloudy sky.

Everything is a function of the pixel: the same picture on every machine, up to rounding.
Units are metres, y points up; colors are linear light, red green blue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[np.float64]

FAR = 1e9
EYE = np.array([0.35, 1.75, -6.4])
LOOK_AT = np.array([0.05, 0.95, 0.0])
FIELD_OF_VIEW = 0.62
"""Half the picture's width at distance 1."""

SUN = np.array([-0.62, 0.62, -0.36])
SUN /= np.linalg.norm(SUN)
SUN_COLOR = np.array([3.3, 2.9, 2.3])
SKY_LIGHT = np.array([0.30, 0.38, 0.54])
SUN_SPREAD = 0.07
"""Radius of the sun at distance 1, a good deal larger than the real one: soft shadows."""

SHADOW_RAYS = 12
SUPERSAMPLING = 2


def noise(x: Array, y: Array, seed: int) -> Array:
    """Return smooth value noise in 0..1: random numbers at whole coordinates, blended between."""
    column, row = np.floor(x), np.floor(y)
    u, v = x - column, y - row
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    c, r = column.astype(np.int64), row.astype(np.int64)
    top = _hashed(c, r, seed) * (1 - u) + _hashed(c + 1, r, seed) * u
    bottom = _hashed(c, r + 1, seed) * (1 - u) + _hashed(c + 1, r + 1, seed) * u
    return np.asarray(top * (1 - v) + bottom * v)


def _hashed(column: NDArray[np.int64], row: NDArray[np.int64], seed: int) -> Array:
    """Return a number in 0..1 that depends on both coordinates; any mixing of the bits will do."""
    mixed = (column * 374761393 + row * 668265263 + seed * 974711) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return np.asarray(((mixed ^ (mixed >> 16)) & 0xFFFFFF) / float(0xFFFFFF))


def cloudy(x: Array, y: Array, seed: int, octaves: int = 5) -> Array:
    """Return noise added up over octaves, each half as strong and twice as fine, in 0..1."""
    shares = [0.5**octave for octave in range(octaves)]
    total = sum(
        share * noise(x * 2**octave, y * 2**octave, seed + octave)
        for octave, share in enumerate(shares)
    )
    return np.asarray(total / sum(shares))


def smoothstep(low: float, high: float, values: Array) -> Array:
    """Return 0 below `low`, 1 above `high`, and a smooth rise between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


@dataclass(frozen=True)
class Sphere:
    """A ball with its surface.

    Attributes:
        center: its middle.
        radius: in metres.
        color: of the surface at points given from the center, in units of the radius.
        mirror: share of light reflected head on.
        shine: exponent of the highlight.
    """

    center: Array
    radius: float
    color: Callable[[Array], Array]
    mirror: float
    shine: float

    def hit(self, origin: Array, direction: Array) -> Array:
        """Return the distance along each ray to the surface, or FAR."""
        to_eye = origin - self.center
        b = np.einsum("ij,ij->i", to_eye, direction)
        c = np.einsum("ij,ij->i", to_eye, to_eye) - self.radius**2
        inside = b * b - c
        distance = -b - np.sqrt(np.maximum(inside, 0))
        return np.where((inside > 0) & (distance > 1e-4), distance, FAR)


def plain(red: float, green: float, blue: float) -> Callable[[Array], Array]:
    """Return a surface of one color."""
    return lambda points: np.broadcast_to(np.array([red, green, blue]), points.shape)


def banded(points: Array) -> Array:
    """Return a beach ball: six sectors in two colors, white caps."""
    angle = np.arctan2(points[:, 2], points[:, 0] * 0.9 + points[:, 1] * 0.43)
    sector = np.floor((angle / (2 * np.pi) + 0.5) * 6).astype(int) % 3
    palette = np.array([[0.80, 0.10, 0.06], [0.92, 0.88, 0.78], [0.95, 0.55, 0.05]])
    colors = palette[sector]
    pole = np.abs(points @ np.array([-0.43, 0.9, 0.0])) > 0.95
    return np.where(pole[:, None], 0.9, colors)


def marbled(points: Array) -> Array:
    """Return green stone with pale veins."""
    warp = cloudy(points[:, 0] * 3 + 7, points[:, 1] * 3 + points[:, 2] * 2, 40)
    vein = np.abs(np.sin(points[:, 0] * 4 + points[:, 2] * 3 + warp * 9))
    share = smoothstep(0.0, 0.45, vein)[:, None]
    return share * np.array([0.05, 0.26, 0.13]) + (1 - share) * np.array([0.62, 0.72, 0.58])


SPHERES = (
    Sphere(np.array([-1.62, 0.95, 0.35]), 0.95, banded, 0.04, 90.0),
    Sphere(np.array([0.12, 0.62, -1.15]), 0.62, plain(0.72, 0.74, 0.78), 0.72, 400.0),
    Sphere(np.array([-0.72, 0.27, -1.95]), 0.27, marbled, 0.06, 160.0),
    Sphere(np.array([1.32, 0.36, -1.75]), 0.36, plain(0.05, 0.17, 0.62), 0.07, 220.0),
    Sphere(np.array([2.55, 0.22, -1.35]), 0.22, plain(0.75, 0.52, 0.06), 0.05, 60.0),
)

SIGN_CENTER = np.array([1.45, 1.66, 0.45])
SIGN_HALF = np.array([1.32, 0.69])
SIGN_TURN = 0.16
SIGN_RIGHT = np.array([np.cos(SIGN_TURN), 0.0, np.sin(SIGN_TURN)])
SIGN_NORMAL = np.array([np.sin(SIGN_TURN), 0.0, -np.cos(SIGN_TURN)])
SIGN_PIXELS = (944, 496)
POST_WIDTH = 0.07


def sign_face() -> Array:
    """Return the painted board, height x width x 3 in linear light."""
    width, height = SIGN_PIXELS
    board = Image.new("RGB", SIGN_PIXELS, (244, 238, 220))
    draw = ImageDraw.Draw(board)
    draw.rectangle((0, 0, width - 1, height - 1), outline=(58, 44, 34), width=26)
    draw.rectangle((44, 44, width - 45, height - 45), outline=(150, 40, 30), width=5)
    ink = (32, 34, 44)
    draw.text((width / 2, 168), "convcli", ink, ImageFont.load_default(190), anchor="mm")
    small = ImageFont.load_default(68)
    for place, row in zip((0.23, 0.5, 0.77), ("1  0  -1", "2  0  -2", "1  0  -1"), strict=True):
        draw.text((place * width, 312), row, (150, 40, 30), small, anchor="mm")
    lines = ImageFont.load_default(54)
    draw.text((width / 2, 405), "edges, blurs and filters", ink, lines, anchor="mm")
    board = board.reduce(2)  # about as fine as the rays that will sample it
    return (np.asarray(board, np.float64) / 255) ** 2.2


SIGN_FACE = sign_face()


def sign_hit(origin: Array, direction: Array) -> tuple[Array, Array, Array]:
    """Return distance to the board or its posts, or FAR, and the place on it, right and up."""
    slope = direction @ SIGN_NORMAL
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = ((SIGN_CENTER - origin) @ SIGN_NORMAL) / slope
        point = origin + distance[:, None] * direction
    right = (point - SIGN_CENTER) @ SIGN_RIGHT
    up = point[:, 1] - SIGN_CENTER[1]
    on_board = (np.abs(right) < SIGN_HALF[0]) & (np.abs(up) < SIGN_HALF[1])
    beside = np.abs(np.abs(right) - 0.8 * SIGN_HALF[0])
    on_post = (beside < POST_WIDTH) & (point[:, 1] > 0) & (up < 0)
    hit = (on_board | on_post) & (distance > 1e-4) & np.isfinite(distance)
    return np.where(hit, distance, FAR), right, up


def sign_color(right: Array, up: Array) -> Array:
    """Return the paint of the board, or the wood of a post below it."""
    height, width = SIGN_FACE.shape[:2]
    column = np.clip((right / SIGN_HALF[0] + 1) / 2 * width, 0, width - 1).astype(int)
    row = np.clip((1 - up / SIGN_HALF[1]) / 2 * height, 0, height - 1).astype(int)
    grain = cloudy(right * 40, up * 3, 70, 3)
    wood = (0.5 + 0.5 * grain)[:, None] * np.array([0.26, 0.16, 0.09])
    weathered = (0.86 + 0.2 * cloudy(right * 6, up * 6, 71))[:, None] * SIGN_FACE[row, column]
    return np.where((np.abs(up) < SIGN_HALF[1])[:, None], weathered, wood)


def floor_color(x: Array, z: Array) -> Array:
    """Return stone tiles, each of its own shade, with joints between."""
    size = 0.72
    across, along = x / size, z / size
    row = np.floor(along)
    across = across + 0.5 * (row % 2)
    column = np.floor(across)
    shade = _hashed(column.astype(np.int64), row.astype(np.int64), 5)
    warmth = _hashed(column.astype(np.int64), row.astype(np.int64), 6)
    edge = np.minimum(
        np.minimum(across - column, column + 1 - across), np.minimum(along - row, row + 1 - along)
    )
    joint = smoothstep(0.012, 0.045, edge + 0.012 * (noise(x * 14, z * 14, 8) - 0.5))
    grain = cloudy(x * 5 + 31, z * 5 + 17, 9, 4)
    light = (0.22 + 0.20 * shade) * (0.55 + 0.8 * grain)
    tint = np.array([1.0, 0.93, 0.83]) + (warmth[:, None] - 0.5) * np.array([0.10, 0.0, -0.14])
    stone = light[:, None] * tint
    return stone * joint[:, None] + (1 - joint[:, None]) * np.array([0.10, 0.09, 0.08])


def sky_color(direction: Array) -> Array:
    """Return sky, clouds, the glow around the sun and a line of hills."""
    up = np.maximum(direction[:, 1], 0.0)
    zenith, horizon = np.array([0.07, 0.20, 0.62]), np.array([0.62, 0.73, 0.88])
    share = np.exp(-4.2 * up)[:, None]
    color = zenith * (1 - share) + horizon * share
    flat_x, flat_z = direction[:, 0] / (up + 0.16), direction[:, 2] / (up + 0.16)
    cover = cloudy(flat_x * 1.1 + 3.2, flat_z * 1.1 + 9.1, 20, 6)
    cloud = (smoothstep(0.47, 0.75, cover) * smoothstep(0.0, 0.10, up))[:, None]
    under = cloudy(flat_x * 1.1 + 3.5, flat_z * 1.1 + 9.3, 20, 4)[:, None]
    color = color * (1 - cloud) + cloud * (1.25 - 0.55 * under) * np.array([1.0, 0.98, 0.95])
    toward_sun = np.maximum(direction @ SUN, 0.0)[:, None]
    color = color + (0.5 * toward_sun**24 + 5.0 * toward_sun**900) * SUN_COLOR / 2
    bearing = np.arctan2(direction[:, 0], direction[:, 2])
    for layer, (height, shade) in enumerate(((0.085, 0.55), (0.05, 0.25))):
        ridge = height * (0.35 + cloudy(bearing * (3 + 2 * layer) + 11 * layer, bearing * 0, 30))
        soil = np.array([0.16, 0.23, 0.22]) * (1 - shade) + horizon * shade
        below = smoothstep(-0.0015, 0.0015, ridge - direction[:, 1])[:, None]
        color = color * (1 - below) + soil * below
    return color


@dataclass
class Surface:
    """What the rays met, one row a ray."""

    distance: Array
    point: Array
    normal: Array
    color: Array
    mirror: Array
    shine: Array


def first_surface(origin: Array, direction: Array) -> Surface:
    """Return the nearest surface of each ray; the sky is at distance FAR."""
    count = len(direction)
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(direction[:, 1] < -1e-6, -origin[:, 1] / direction[:, 1], FAR)
    board, right, up = sign_hit(origin, direction)
    distances = np.stack([floor, board, *(ball.hit(origin, direction) for ball in SPHERES)])
    nearest = distances.argmin(axis=0)
    distance = distances.min(axis=0)
    point = origin + np.minimum(distance, 1e4)[:, None] * direction
    normal = np.broadcast_to(np.array([0.0, 1.0, 0.0]), (count, 3)).copy()
    color, mirror, shine = np.zeros((count, 3)), np.full(count, 0.02), np.full(count, 30.0)
    on_floor = (nearest == 0) & (distance < FAR)
    color[on_floor] = floor_color(point[on_floor, 0], point[on_floor, 2])
    on_sign = (nearest == 1) & (distance < FAR)
    facing = np.where((direction[on_sign] @ SIGN_NORMAL < 0)[:, None], SIGN_NORMAL, -SIGN_NORMAL)
    normal[on_sign] = facing
    color[on_sign] = sign_color(right[on_sign], up[on_sign])
    for number, ball in enumerate(SPHERES, start=2):
        on_ball = (nearest == number) & (distance < FAR)
        normal[on_ball] = (point[on_ball] - ball.center) / ball.radius
        color[on_ball] = ball.color(normal[on_ball])
        mirror[on_ball], shine[on_ball] = ball.mirror, ball.shine
    return Surface(distance, point, normal, color, mirror, shine)


def sunlight(point: Array, rays: int) -> Array:
    """Return the share of the sun's disc that each point sees, from points spread over the disc."""
    side = np.cross(SUN, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    over = np.cross(side, SUN)
    turn = (
        2
        * np.pi
        * _hashed(
            np.floor(point[:, 0] * 4099).astype(np.int64),
            np.floor(point[:, 2] * 4099 + point[:, 1] * 8209).astype(np.int64),
            3,
        )
    )
    seen = np.zeros(len(point))
    for ray in range(rays):
        angle = turn + ray * 2.399963  # the golden angle spreads points evenly over a disc
        reach = SUN_SPREAD * np.sqrt((ray + 0.5) / rays)
        offset = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * over
        toward = SUN + reach * offset
        toward /= np.linalg.norm(toward, axis=1, keepdims=True)
        free = sign_hit(point, toward)[0] >= FAR
        for ball in SPHERES:
            free &= ball.hit(point, toward) >= FAR
        seen += free
    return seen / rays


def openness(point: Array, normal: Array) -> Array:
    """Return the share of the sky that the spheres leave free (Quilez, sphere occlusion)."""
    free = np.ones(len(point))
    for ball in SPHERES:
        toward = ball.center - point
        distance = np.linalg.norm(toward, axis=1)
        cosine = np.einsum("ij,ij->i", normal, toward) / distance
        outside = distance > ball.radius * 1.001
        share = np.maximum(cosine, 0) * (ball.radius / distance) ** 2
        free *= np.where(outside, 1 - np.clip(share, 0, 1), 1.0)
    return free


def radiance(origin: Array, direction: Array, bounces: int) -> Array:
    """Return the light that arrives along each ray, backwards."""
    met = first_surface(origin, direction)
    light = np.zeros_like(direction)
    sky = met.distance >= FAR
    light[sky] = sky_color(direction[sky])
    solid = ~sky
    if solid.any():
        light[solid] = _shaded(direction[solid], _rows_of(met, solid), bounces)
    return light


def _rows_of(met: Surface, rows: NDArray[np.bool_]) -> Surface:
    return Surface(*(getattr(met, name)[rows] for name in met.__dataclass_fields__))


def _shaded(direction: Array, met: Surface, bounces: int) -> Array:
    lifted = met.point + 2e-4 * met.normal
    facing = np.maximum(met.normal @ SUN, 0.0)
    sun = np.zeros(len(facing))
    lit = facing > 0
    sun[lit] = sunlight(lifted[lit], SHADOW_RAYS if bounces else 4)
    sky = openness(met.point, met.normal) * (0.55 + 0.45 * met.normal[:, 1])
    bounced = 0.16 * np.maximum(-met.normal[:, 1] + 0.35, 0)
    diffuse = (sun * facing)[:, None] * SUN_COLOR + sky[:, None] * SKY_LIGHT
    diffuse = diffuse + bounced[:, None] * np.array([1.0, 0.9, 0.75])
    along = np.einsum("ij,ij->i", direction, met.normal)
    reflected = direction - 2 * along[:, None] * met.normal
    reflected /= np.linalg.norm(reflected, axis=1, keepdims=True)
    glint = np.maximum(reflected @ SUN, 0.0) ** met.shine * sun
    light = met.color * diffuse * (1 - met.mirror)[:, None]
    light += (glint * (0.15 + met.mirror) * met.shine / 60)[:, None] * SUN_COLOR
    if bounces:
        grazing = (1 - np.clip(-along, 0, 1)) ** 5
        share = met.mirror + (1 - met.mirror) * grazing * np.where(met.shine > 50, 0.6, 0.05)
        mirrored = share > 0.03
        seen = radiance(lifted[mirrored], reflected[mirrored], bounces - 1)
        light[mirrored] += share[mirrored, None] * seen
    haze = (1 - np.exp(-((met.distance / 38) ** 2)))[:, None]
    return light * (1 - haze) + haze * np.array([0.66, 0.72, 0.80])


def render(width: int, height: int) -> Array:
    """Return the scene as it looks, 0..1, height x width x 3, gamma 2.2."""
    forward = (LOOK_AT - EYE) / np.linalg.norm(LOOK_AT - EYE)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    up = np.cross(forward, right)
    fine_w, fine_h = width * SUPERSAMPLING, height * SUPERSAMPLING
    out = np.empty((height, width, 3))
    across = ((np.arange(fine_w) + 0.5) / fine_w * 2 - 1) * FIELD_OF_VIEW
    strip = 32
    for top in range(0, height, strip):
        rows = np.arange(top, min(top + strip, height))
        fine_rows = np.arange(rows[0] * SUPERSAMPLING, (rows[-1] + 1) * SUPERSAMPLING)
        down = (1 - (fine_rows + 0.5) / fine_h * 2) * FIELD_OF_VIEW * height / width
        x, y = (grid.ravel()[:, None] for grid in np.meshgrid(across, down))
        direction = forward + x * right + y * up
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        light = radiance(np.broadcast_to(EYE, direction.shape), direction, 2)
        film = _developed(light).reshape(len(rows), SUPERSAMPLING, width, SUPERSAMPLING, 3)
        out[rows] = film.mean(axis=(1, 3))
    return _vignetted(out)


def _developed(light: Array) -> Array:
    """Return linear light as 0..1 film density: a soft shoulder, then gamma."""
    exposed = 1.05 * light
    toned = exposed * (1 + exposed / 9.0) / (1 + exposed)
    density = np.clip(toned, 0, 1) ** (1 / 2.2)
    return np.asarray(density + 0.16 * (smoothstep(0.0, 1.0, density) - density))


def _vignetted(picture: Array) -> Array:
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(picture * (1 - 0.10 * (x * x + y * y))[:, :, None])
