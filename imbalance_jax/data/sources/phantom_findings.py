"""The phantom's findings: how each of eight pathologies, and a chest drain, is drawn and shown on a healthy chest.

A finding is drawn without a film, as a dict of numbers (`draw_`); a few bend the anatomy (`reshape`); then it is
painted onto a scene (`paint_`). Painting returns `field`, positive inside the finding, and what to change: `air` and
`vessels` are multiplied, `density` is added. Sizes follow the boxes that radiologists drew for ChestX-ray14.
"""

from collections.abc import Callable

import numpy as np

from imbalance_jax.data.sources.phantom_anatomy import lung_point
from imbalance_jax.data.sources.phantom_shapes import cloud, ellipse, lattice, smooth, union

CLOUD_CELLS = 14


def _side(rng: np.random.Generator) -> int:
    return -1 if rng.random() < 0.5 else 1


def draw_atelectasis(rng: np.random.Generator) -> dict:
    """A basal plate (discoid atelectasis) or the wedge of a collapsed lower lobe, with loss of volume."""
    return {
        'side': _side(rng),
        'plate': rng.random() < 0.55,
        'across': rng.uniform(0.4, 0.6),
        'down': rng.uniform(0.66, 0.9),
        'half': rng.uniform(0.07, 0.15),
        'thick': rng.uniform(0.013, 0.032),
        'angle': rng.uniform(-0.35, 0.35),
        'sag': rng.uniform(-0.8, 0.8),
        'spread': rng.uniform(0.45, 0.85),
        'lift': rng.uniform(0.005, 0.045),
        'strength': rng.uniform(0.4, 1.0),
    }


def paint_atelectasis(scene: dict, p: dict) -> dict:
    """Airless lung: no darkness left, and denser for being packed."""
    field, edge = (_plate(scene, p), max(0.018, scene['pixel'])) if p['plate'] else (_wedge(scene, p), 0.03)
    field = np.minimum(field, scene['lung'])
    alpha = p['strength'] * smooth(field, edge)
    return {'field': field, 'air': 1 - alpha, 'density': 0.14 * alpha}


def _plate(scene: dict, p: dict) -> np.ndarray:
    """A lens-shaped, slightly bent streak."""
    cx, cy = lung_point(scene['visit'], p['side'], p['across'], p['down'])
    dx, dy = scene['x'] - cx, scene['y'] - cy
    cos, sin = np.cos(p['angle']), np.sin(p['angle'])
    along, off = cos * dx + sin * dy, cos * dy - sin * dx
    return p['thick'] * (1 - (along / p['half']) ** 2) - np.abs(off + p['sag'] * along * along)


def _wedge(scene: dict, p: dict) -> np.ndarray:
    """A triangle between the mediastinum and a line from the hilum down to the dome."""
    hilum = 0.46
    fall = np.clip((scene['y'] - hilum) / (scene['dome'] - hilum), 0.0, 1.0)
    edge = scene['medial'] + (scene['lateral'] - scene['medial']) * p['spread'] * fall
    return np.minimum(np.minimum(edge - scene['a'], scene['y'] - hilum), p['side'] * scene['x'])


def draw_cardiomegaly(rng: np.random.Generator) -> dict:
    """A cardiothoracic ratio beyond the normal half."""
    return {'ctr': rng.uniform(0.54, 0.70)}


def paint_cardiomegaly(scene: dict, p: dict) -> dict:
    """The heart, which `reshape` has enlarged."""
    return {'field': scene['heart']}


def draw_effusion(rng: np.random.Generator) -> dict:
    """Fluid to a height in one or both pleural spaces, from a blunted costophrenic angle to half a lung."""
    height = 0.11 + 0.35 * rng.random() ** 1.6
    other = height * rng.uniform(0.5, 1.0) if rng.random() < 0.3 else 0.0
    heights = (height, other) if _side(rng) < 0 else (other, height)
    return {'heights': heights, 'hollow': rng.uniform(0.25, 0.6), 'strength': rng.uniform(0.6, 1.0)}


def paint_effusion(scene: dict, p: dict) -> dict:
    """Fluid below a meniscus that climbs along the chest wall."""
    visit = scene['visit']
    right, left = p['heights']
    height, floor = np.where(scene['x'] < 0, right, left), np.where(scene['x'] < 0, *(visit['dome'] + visit['sulcus']))
    across = np.clip((scene['a'] - scene['medial']) / np.maximum(scene['lateral'] - scene['medial'], 0.05), 0.0, 1.0)
    level = floor - height * (p['hollow'] + (1 - p['hollow']) * across**3)
    field = np.where(height > 0, scene['y'] - level, -1.0)
    alpha = p['strength'] * smooth(field, 0.035)
    return {
        'field': np.minimum(field, scene['lung']),
        'air': 1 - alpha,
        'density': 0.12 * alpha * smooth(scene['lung'] + 0.02, 0.04),
    }


def draw_infiltration(rng: np.random.Generator) -> dict:
    """Ill-defined patches of haze, more often than not in both lungs."""
    side = _side(rng)
    sides = (side, -side) if rng.random() < 0.6 else (side,)
    return {
        'patches': [
            (s, rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.9), rng.uniform(0.045, 0.10), rng.uniform(0.05, 0.13))
            for s in sides
            for _ in range(rng.integers(1, 4))
        ],
        'cloud': lattice(rng, CLOUD_CELLS),
        'strength': rng.uniform(0.1, 0.35),
    }


def paint_infiltration(scene: dict, p: dict) -> dict:
    """Uneven loss of air through which the vessels stay visible."""
    texture = cloud(p['cloud'], scene['size'])
    patches = [
        ellipse(scene['x'], scene['y'], lung_point(scene['visit'], side, across, down), (rx, ry))
        for side, across, down, rx, ry in p['patches']
    ]
    field = np.minimum(np.maximum.reduce(patches) + 0.012 * texture, scene['lung'])
    alpha = p['strength'] * smooth(field, 0.07) * np.clip(1 + 0.35 * texture, 0.3, 1.5)
    return {'field': field, 'air': 1 - alpha}


def draw_mass(rng: np.random.Generator) -> dict:
    """A well-defined, slightly lobulated ball of more than 3 cm."""
    return _draw_ball(rng, 0.045 + 0.06 * rng.random() ** 1.5, 0.12, 0.36, 0.72)


def draw_nodule(rng: np.random.Generator) -> dict:
    """A small ball of 1.5 to 3 cm."""
    return _draw_ball(rng, rng.uniform(0.023, 0.038), 0.14, 0.4, 0.85)


def _draw_ball(rng: np.random.Generator, radius: float, low: float, high: float, far: float) -> dict:
    side, down = _side(rng), rng.uniform(0.15, 0.85)
    near = 0.5 if side > 0 and down > 0.5 else 0.2  # beside the heart, not behind it
    return {
        'side': side,
        'across': rng.uniform(near, far),
        'down': down,
        'radius': radius,
        'lobes': rng.uniform(-0.07, 0.07, 2),
        'density': rng.uniform(low, high),
    }


def paint_ball(scene: dict, p: dict) -> dict:
    """A solid ball, thinner towards its crisp outline."""
    cx, cy = lung_point(scene['visit'], p['side'], p['across'], p['down'])
    dx, dy, radius = scene['x'] - cx, scene['y'] - cy, p['radius']
    square = dx * dx + dy * dy
    two, three = p['lobes']  # second and third harmonic of the outline, cos 2t and sin 3t as polynomials
    r = np.sqrt(square) + 1e-9
    outline = radius * (1 + two * (dx * dx - dy * dy) / (r * r) + three * (3 * dx * dx * dy - dy**3) / (r * r * r))
    field = outline - r
    bulk = 0.45 + 0.55 * np.sqrt(np.maximum(1 - square / (outline * outline), 0.0))
    return {'field': field, 'density': p['density'] * bulk * smooth(field, max(0.008, scene['pixel']))}


def draw_pneumonia(rng: np.random.Generator) -> dict:
    """Dense consolidation of the upper, middle or lower zone of one lung, its border fuzzy."""
    return {
        'side': _side(rng),
        'across': rng.uniform(0.35, 0.65),
        'down': rng.choice([0.25, 0.55, 0.75]) + rng.uniform(-0.06, 0.06),
        'rx': rng.uniform(0.075, 0.12),
        'ry': rng.uniform(0.075, 0.15),
        'cloud': lattice(rng, CLOUD_CELLS),
        'strength': rng.uniform(0.55, 0.95),
    }


def paint_pneumonia(scene: dict, p: dict) -> dict:
    """Alveoli full of fluid: air lost but for some bronchi, vessels drowned."""
    texture = cloud(p['cloud'], scene['size'])
    centre = lung_point(scene['visit'], p['side'], p['across'], p['down'])
    blob = ellipse(scene['x'], scene['y'], centre, (p['rx'], p['ry']))
    field = np.minimum(blob + 0.025 * texture, scene['lung'])
    alpha = p['strength'] * smooth(field, 0.07)
    return {
        'field': field,
        'air': 1 - alpha * np.clip(1 + 0.2 * texture, 0.5, 1.05),
        'vessels': 1 - 0.7 * alpha,
        'density': 0.02 * alpha,
    }


def draw_pneumothorax(rng: np.random.Generator) -> dict:
    """Air between the chest wall and the visceral pleura of a lung that has fallen away from apex and side."""
    gap = 0.035 + 0.085 * rng.random() ** 1.3
    return {
        'side': _side(rng),
        'gap': gap,
        'apical': gap * rng.uniform(1.0, 2.2),
        'reach': rng.uniform(0.5, 1.1),
        'line': rng.uniform(0.03, 0.06),
        'dark': rng.uniform(0.2, 0.5),
        'dense': rng.uniform(0.05, 0.3),
    }


def paint_pneumothorax(scene: dict, p: dict) -> dict:
    """Darkness without vessels around a denser lung, and the thin line of the pleura between them."""
    visit, pixel = scene['visit'], scene['pixel']
    down = np.clip((scene['y'] - visit['apex']) / (scene['dome'] - visit['apex']), 0.0, 1.0)
    gap = p['gap'] * np.maximum(1 - down / p['reach'], 0.0) ** 0.5
    here = np.minimum(p['side'] * scene['x'], scene['lung'])
    collapsed = -union(gap + 0.006 - scene['lateral'] + scene['a'], p['apical'] + visit['apex'] - scene['y'], 0.08)
    field = np.minimum(-collapsed, here)
    free = smooth(field, max(0.01, pixel))
    line = smooth(0.004 - np.abs(collapsed), max(0.008, pixel)) * min(1.0, 0.008 / pixel)
    inside = smooth(here, 0.02)
    return {
        'field': field,
        'air': 1 + p['dark'] * free - p['dense'] * smooth(collapsed, 0.03) * inside,
        'vessels': 1 - free,
        'density': p['line'] * line * inside * (gap > 0),
    }


def draw_tube(rng: np.random.Generator) -> dict:
    """A chest drain, from the lateral wall up towards the apex."""
    return {
        'side': _side(rng),
        'top': rng.uniform(0.16, 0.30),
        'bottom': rng.uniform(0.62, 0.80),
        'inner': rng.uniform(0.10, 0.2),
        'bend': rng.uniform(1.6, 3.0),
        'density': rng.uniform(0.09, 0.2),
    }


def paint_tube(scene: dict, p: dict) -> dict:
    """A bright line of constant width."""
    t = np.clip((scene['y'] - p['top']) / (p['bottom'] - p['top']), 0.0, 1.0)
    reach = scene['visit']['width'] + 0.06 - p['inner']
    course = p['inner'] + reach * t ** p['bend']
    slope = reach * p['bend'] * t ** (p['bend'] - 1) / (p['bottom'] - p['top'])
    field = 0.008 - np.abs(p['side'] * scene['x'] - course) / np.sqrt(1 + slope * slope)
    field = np.minimum(field, np.minimum(scene['y'] - p['top'], p['bottom'] - scene['y']))
    return {'field': field, 'density': p['density'] * smooth(field, max(0.006, scene['pixel']))}


def reshape(visit: dict, findings: dict) -> dict:
    """The anatomy as the findings bend it: an enlarged heart, a raised dome and a shifted heart beside a collapse."""
    if 'Cardiomegaly' in findings:
        visit = visit | {'ctr': findings['Cardiomegaly']['ctr']}
    if 'Atelectasis' in findings:
        p = findings['Atelectasis']
        lift = np.array([p['side'] < 0, p['side'] > 0]) * p['lift']
        visit = visit | {'dome': visit['dome'] - lift, 'heart_shift': 0.5 * p['side'] * p['lift']}
    return visit


FINDINGS: dict[str, tuple[Callable[[np.random.Generator], dict], Callable[[dict, dict], dict]]] = {
    'Atelectasis': (draw_atelectasis, paint_atelectasis),
    'Cardiomegaly': (draw_cardiomegaly, paint_cardiomegaly),
    'Effusion': (draw_effusion, paint_effusion),
    'Infiltration': (draw_infiltration, paint_infiltration),
    'Mass': (draw_mass, paint_ball),
    'Nodule': (draw_nodule, paint_ball),
    'Pneumonia': (draw_pneumonia, paint_pneumonia),
    'Pneumothorax': (draw_pneumothorax, paint_pneumothorax),
}
