"""The healthy chest of the phantom: borders, bones and vessels as fields over the film.

Anatomical coordinates: x runs from -0.5 to 0.5 towards the patient's left (the viewer's right) with the spine at 0,
y from 0 at the neck to 1 at the abdomen; one unit is the width of the film, about 40 cm. A field is positive inside
what it describes and near the border it is the distance to it. All lengths are in these units, and densities are in
units of which 0.26 takes half the range of the film.
"""

import numpy as np
import scipy
from numpy.typing import ArrayLike

from imbalance_jax.data.sources.phantom_shapes import cloud, ellipse, lattice, smooth, union

BRANCHES, TWIGS, STEPS = 16, 4, 40
TISSUE_CELLS, LUNG_CELLS = 6, 36


def draw_patient(rng: np.random.Generator) -> dict:
    """Draws one patient's build: a dict of numbers, pairs being (patient's right, patient's left)."""
    uniform = rng.uniform
    dome = uniform(0.68, 0.78)
    return {
        'apex': uniform(0.09, 0.14),
        'width': uniform(0.33, 0.385),
        'dome': np.array([dome, dome + uniform(0.0, 0.035)]),
        'sulcus': uniform(0.08, 0.13),
        'mediastinum': uniform(0.05, 0.07),
        'ctr': uniform(0.38, 0.465),
        'heart_tilt': uniform(0.5, 0.8),
        'heart_shift': 0.0,
        'knob': uniform(0.032, 0.05),
        'rib_spacing': uniform(0.066, 0.078),
        'rib_drop': uniform(0.07, 0.13),
        'rib_phase': uniform(0.0, 1.0),
        'rib_density': uniform(0.025, 0.05),
        'clavicle': uniform(0.0, 0.05),
        'wall': 0.06 + 0.14 * uniform() ** 2,
        'neck': uniform(0.10, 0.15),
        'shoulder': uniform(0.25, 0.5),
        'arm': uniform(0.02, 0.5),
        'fat': uniform(-0.08, 0.16),
        'air': uniform(0.26, 0.34),
        'breasts': uniform(0.03, 0.11) * (uniform() < 0.4),
        'bubble': uniform(0.03, 0.2) * (uniform() < 0.6),
        'markings': uniform(0.035, 0.075),
        'vessels': draw_vessels(rng),
        'soft_tissue': lattice(rng, TISSUE_CELLS),
        'parenchyma': lattice(rng, LUNG_CELLS),
    }


def draw_visit(rng: np.random.Generator, patient: dict) -> dict:
    """Draws one film of a patient: the build, breathing and positioning."""
    uniform = rng.uniform
    return patient | {
        'dome': patient['dome'] + uniform(-0.02, 0.02),
        'ctr': patient['ctr'] + uniform(-0.008, 0.008),
        'arm': patient['arm'] + uniform(-0.05, 0.05),
        'rotation': uniform(-0.06, 0.06),
        'scale': uniform(0.93, 1.08),
        'shift': uniform(-0.025, 0.025, 2),
    }


def draw_vessels(rng: np.random.Generator) -> np.ndarray:
    """Draws points along both lungs' vessel trees: [points, 3], x y and weight (width times length)."""
    count = 2 * BRANCHES
    side = np.repeat([-1.0, 1.0], BRANCHES)
    angle = np.tile(np.linspace(-1.4, 1.5, BRANCHES), 2) + rng.uniform(-0.15, 0.15, count)
    length = rng.uniform(0.15, 0.34, count)
    bend = rng.uniform(-0.7, 0.7, count)
    root = np.stack([rng.uniform(0.06, 0.10, count), 0.43 + 0.03 * angle + rng.uniform(-0.02, 0.02, count)])
    t = np.linspace(0.0, 1.0, STEPS)

    def grow(root, angle, length, bend):
        turn = angle[..., None] + bend[..., None] * t
        return root[..., None] + np.cumsum(np.stack([np.cos(turn), np.sin(turn)]) * (length[..., None] / STEPS), -1)

    trunk = grow(root, angle, length, bend)
    start = rng.integers(STEPS // 6, STEPS * 3 // 4, (count, TWIGS))
    fork = rng.uniform(0.3, 0.9, (count, TWIGS)) * np.where(np.arange(TWIGS) % 2, 1.0, -1.0)
    reach = length[:, None] * rng.uniform(0.3, 0.6, (count, TWIGS))
    origin = trunk[:, np.arange(count)[:, None], start]
    twig = grow(origin, angle[:, None] + bend[:, None] * t[start] + fork, reach, -0.7 * fork)
    taper = 0.010 * (1.0 - 0.75 * t) / STEPS
    weight = [(taper * length[:, None]).ravel(), (0.55 * taper * reach[..., None]).ravel()]
    points = np.concatenate([trunk.reshape(2, -1), twig.reshape(2, -1)], -1)
    sides = np.concatenate([np.repeat(side, STEPS), np.repeat(side, TWIGS * STEPS)])
    return np.stack([points[0] * sides, points[1], np.concatenate(weight)], -1)


def grid(visit: dict, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Anatomical x and y, each [size, size], of the pixel centres."""
    line = (np.arange(size) + 0.5) / size - 0.5
    u, v = line[None, :] - visit['shift'][0], line[:, None] - visit['shift'][1]
    cos, sin = np.cos(visit['rotation']) / visit['scale'], np.sin(visit['rotation']) / visit['scale']
    return cos * u + sin * v, cos * v - sin * u + 0.5


def to_film(visit: dict, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Film coordinates, 0 to 1, of anatomical points: the inverse of `grid`."""
    cos, sin = np.cos(visit['rotation']) * visit['scale'], np.sin(visit['rotation']) * visit['scale']
    return cos * x - sin * (y - 0.5) + 0.5 + visit['shift'][0], sin * x + cos * (y - 0.5) + 0.5 + visit['shift'][1]


def borders(visit: dict, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances from the midline of a lung's medial and lateral border at height y, and the dome's height at x."""
    width, apex, tip, crest = visit['width'], visit['apex'], 0.135, 0.17
    right, left = visit['dome']
    t = np.clip((y - apex) / (0.80 - apex), 0.0, 1.0)
    lateral = tip + (width - tip) * np.sqrt(1.0 - (1.0 - np.minimum(t / 0.85, 1.0)) ** 2.3)
    medial = tip - (tip - visit['mediastinum']) * np.sqrt(1.0 - (1.0 - np.minimum(t / 0.16, 1.0)) ** 2)
    a = np.abs(x)
    outer, inner = np.maximum(a - crest, 0.0) / (width - crest), np.maximum(crest - a, 0.0) / crest
    dome = right + (left - right) * smooth(x, 0.12) + visit['sulcus'] * outer**2.4 + 0.045 * inner**2
    return medial, lateral, dome


def lung_point(visit: dict, side: int, across: float, down: float) -> tuple[float, float]:
    """The point a fraction `across` (mediastinum to wall) and `down` (apex to dome) a lung; side -1 is the right."""
    y = visit['apex'] + down * (visit['dome'][int(side > 0)] - visit['apex'])
    medial, lateral, _ = borders(visit, side * 0.17, y)
    return side * (medial + across * (lateral - medial)), y


def heart(visit: dict, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fields of the heart, as wide as the cardiothoracic ratio says, and of heart and great vessels together."""
    width, tilt, flat = 2.0 * visit['ctr'] * visit['width'], visit['heart_tilt'], 0.72
    x = x - visit['heart_shift']
    long = 0.46 * width / np.sqrt(np.cos(tilt) ** 2 + (flat * np.sin(tilt)) ** 2)
    half_height = long * np.sqrt(np.sin(tilt) ** 2 + (flat * np.cos(tilt)) ** 2)
    centre = visit['dome'][1] + 0.045 - half_height
    ventricles = ellipse(x, y, (0.22 * width, centre), (long, flat * long), angle=tilt)
    atrium = ellipse(x, y, (-0.12 * width, centre + 0.01), (0.2 * width, 0.33 * width))
    whole = union(ventricles, atrium, 0.06)
    pedicle = ellipse(x, y, (0.018, centre - 0.14), (0.078, 0.17), angle=-0.1)
    return whole, union(whole, pedicle, 0.04)


def ribs(visit: dict, x: np.ndarray, y: np.ndarray, lateral: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fields of the ribs' posterior and anterior parts inside the cage."""
    a, spacing, drop = np.abs(x), visit['rib_spacing'], visit['rib_drop']
    q = np.minimum(a / (lateral + 0.012), 1.1)
    cage = np.minimum(lateral + 0.012 - a, y - visit['apex'] + 0.01)

    def bars(height, half):
        phase = height / spacing + visit['rib_phase']
        return np.minimum(half - np.abs(phase - np.floor(phase) - 0.5) * spacing, cage)

    posterior = bars(y + 0.03 * q - drop * q * q * q, 0.0125)
    anterior = bars(y - drop * 0.9 - 0.22 * (1.0 - q * q), 0.009)
    return np.minimum(posterior, a - 0.03), np.minimum(anterior, a - 0.13)


def vessels(visit: dict, size: int) -> np.ndarray:
    """Vessel thickness [size, size]: the trees' points shared out bilinearly, so that none slips between pixels."""
    x, y, weight = visit['vessels'].T
    u, v = to_film(visit, x, y)
    u, v = u * size - 0.5, v * size - 0.5
    keep = (u >= 0) & (u < size - 1) & (v >= 0) & (v < size - 1)
    u, v, weight = u[keep], v[keep], weight[keep] * (size * size)
    column, row = u.astype(np.int64), v.astype(np.int64)
    u, v, corner = u - column, v - row, row * size + column
    index = np.concatenate([corner, corner + 1, corner + size, corner + size + 1])
    share = np.concatenate([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v]) * np.tile(weight, 4)
    total = np.bincount(index, share, size * size).reshape(size, size)
    # On small films the sharing out alone blurs more than this.
    return scipy.ndimage.gaussian_filter(total, 0.0035 * size, truncate=3.0) if size > 96 else total


def body(visit: dict, x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    """Soft-tissue density of trunk, neck, shoulders and arms, without what is inside."""
    a = np.abs(x)
    trunk = visit['width'] + visit['wall'] - 0.02 * smooth(y - 0.6, 0.8)
    neck = np.maximum(visit['neck'] - a, y - 0.02 - visit['shoulder'] * np.maximum(a - visit['neck'], 0.0))
    arm = 0.075 - np.abs(a - 0.45 - visit['arm'] * np.maximum(y - 0.2, 0.0))
    flank = np.maximum(np.minimum(trunk - a, y - 0.1), np.minimum(neck, 0.38 - y + 0.3 * (a - 0.4)))
    flank = np.minimum(np.maximum(flank, np.minimum(arm, y - 0.15)), neck)
    depth = 0.26 * smooth(flank - 0.02, max(0.05, pixel)) + 0.20 * smooth(flank - 0.07, 0.18)
    return depth * (1.0 + visit['fat']) * (0.85 + 0.3 * y) + 0.02


def bones(
    visit: dict,
    x: np.ndarray,
    y: np.ndarray,
    *,
    pixel: float,
    posterior: np.ndarray,
    anterior: np.ndarray,
    below: np.ndarray,
) -> np.ndarray:
    """Density of ribs, vertebrae, clavicles and the heads of the humeri."""
    a, edge = np.abs(x), max(0.008, pixel)
    discs = y / 0.058 + visit['rib_phase']
    vertebrae = smooth(0.042 - a, 0.03) * (0.06 + 0.03 * np.abs(discs - np.floor(discs) - 0.5))
    bow = visit['clavicle'] * (a - 0.04) / 0.3 - 2.2 * (a - 0.2) ** 2 * (a - 0.05)
    clavicle = np.minimum(0.012 - np.abs(y - 0.165 + bow), np.minimum(a - 0.03, 0.40 - a))
    humerus = ellipse(a, y, (0.44, 0.17), (0.05, 0.055))
    cage = visit['rib_density'] * (1 - 0.8 * below) * (smooth(posterior, edge) + 0.5 * smooth(anterior, edge))
    return cage + vertebrae + 0.08 * smooth(clavicle, edge) + 0.06 * smooth(humerus, 0.03)


def organs(
    visit: dict,
    x: np.ndarray,
    y: np.ndarray,
    *,
    pixel: float,
    dome: np.ndarray,
    silhouette: np.ndarray,
    below: np.ndarray,
) -> np.ndarray:
    """Density of heart, vessels and windpipe between the lungs, of the abdomen and of the breasts."""
    a, edge = np.abs(x), max(0.012, pixel)
    heart = 0.10 * smooth(silhouette, edge) + 0.09 * smooth(silhouette - 0.035, 0.09)
    abdomen = (0.10 * below + 0.12 * smooth(y - dome - 0.02, 0.1)) * smooth(visit['width'] + 0.03 - a, 0.08)
    aorta = smooth(ellipse(x, y, (0.055, 0.31), (visit['knob'], visit['knob'] * 1.2)), 0.015)
    trachea = smooth(0.018 - np.abs(x + 0.004), 0.016) * smooth(0.37 - y, 0.08)
    middle = smooth(0.085 - a, 0.06) * smooth(y - 0.2, 0.2)
    density = np.maximum(heart, abdomen) + 0.06 * aorta + 0.03 * middle - 0.05 * trachea
    if visit['breasts']:
        density += visit['breasts'] * smooth(ellipse(a, y, (0.24, 0.66), (0.15, 0.16)), 0.06)
    if visit['bubble']:  # of air in the stomach
        density -= visit['bubble'] * smooth(ellipse(x, y, (0.17, visit['dome'][1] + 0.065), (0.075, 0.035)), 0.02)
    return density


def scene(visit: dict, size: int) -> dict:
    """The healthy chest on a film of `size` x `size` pixels, as a dict of arrays [size, size].

    Coordinates `x`, `y` and `a` = |x|; borders `medial`, `lateral` and `dome`; fields `lung` (with what the heart
    hides), `heart`, `silhouette` (heart and great vessels), `ribs` and `diaphragm`; densities `tissue`, `vessels`, and
    `air`, which is to be taken away; and `pixel`, `size` and `visit`, which it was made from.
    """
    (x, y), pixel = grid(visit, size), 1.0 / size
    a = np.abs(x)
    medial, lateral, dome = borders(visit, x, y)
    whole_heart, silhouette = heart(visit, x, y)
    posterior, anterior = ribs(visit, x, y, lateral)
    below = smooth(y - dome, max(0.012, pixel))
    air = smooth(a - medial, max(0.02, pixel)) * smooth(lateral - a - 0.008, max(0.03, pixel))
    air *= (1.0 - below) * smooth(y - visit['apex'], 0.05)
    air *= 1.0 - 0.65 * smooth(silhouette, max(0.012, pixel))
    air *= (0.8 + 0.2 * smooth(lateral - a - 0.06, 0.12)) * (1.0 + 0.04 * cloud(visit['parenchyma'], size))
    soft = body(visit, x, y, pixel)
    tissue = soft + organs(visit, x, y, pixel=pixel, dome=dome, silhouette=silhouette, below=below)
    skeleton = bones(visit, x, y, pixel=pixel, posterior=posterior, anterior=anterior, below=below)
    tissue += skeleton * np.minimum(soft / 0.2, 1.0)  # none in the air
    return {
        'x': x, 'y': y, 'a': a, 'pixel': pixel, 'size': size, 'visit': visit,
        'medial': medial, 'lateral': lateral, 'dome': dome,
        'lung': np.minimum(np.minimum(a - medial, lateral - a), np.minimum(dome - y, y - visit['apex'])),
        'heart': whole_heart,
        'silhouette': silhouette,
        'ribs': np.minimum(np.maximum(posterior, anterior), dome - y),
        'diaphragm': np.minimum(np.minimum(y - dome, dome + 0.06 - y), np.minimum(lateral - a, a - medial)),
        'tissue': tissue * (1.0 + 0.05 * cloud(visit['soft_tissue'], size)),
        'air': air,
        'vessels': visit['markings'] * vessels(visit, size) * np.minimum(air, 1.0),
    }  # fmt: skip
