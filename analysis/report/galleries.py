"""Pictures of images, maps and units: tiles with outlines and heat, without a word in them."""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from imbalance_jax.analysis.report.style import HEAT, Panel, data_uri

TILE = 96  # pixels per side in a file; pages show them smaller
GAP = 4
ROWS = 16  # of a gallery, if there are not more findings
ENCODINGS: dict[str, dict[str, Any]] = {
    'PNG': {'optimize': True},
    'JPEG': {'quality': 90, 'subsampling': 0, 'optimize': True},
}
OUTLINE = '#00E0FF'  # of an annotated region
ACTIVE = '#FFB000'  # of an active area
OPACITY = 0.8  # of the hottest pixel


def tile(image: np.ndarray) -> np.ndarray:
    """A grey image [H,W], or one in colour [H,W,3], 0..255, as [TILE,TILE,3] uint8."""
    channels = [image] * 3 if image.ndim == 2 else np.moveaxis(image, -1, 0)
    return np.stack([enlarge(one).clip(0, 255).astype(np.uint8) for one in channels], axis=-1)


def enlarge(values: np.ndarray) -> np.ndarray:
    """An array [h,w] at tile size, bilinear with half-pixel centres."""
    picture = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(picture.resize((TILE, TILE), Image.Resampling.BILINEAR))


def heated(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """An image [H,W] or [H,W,3] under heat [H,W] in 0..1: the hotter, the more opaque."""
    heat = enlarge(np.nan_to_num(heat)).clip(0, 1)
    opacity = OPACITY * heat[..., None]
    return (tile(image) * (1 - opacity) + 255 * HEAT(heat)[..., :3] * opacity).astype(np.uint8)


def outlined(pixels: np.ndarray, mask: np.ndarray, colour: str) -> np.ndarray:
    """A tile with the outline of a mask [H,W] bool: the edges between its pixels and the others."""
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    padded = np.pad(np.asarray(mask, bool), 1)
    down, across = TILE / np.array(mask.shape)
    for y, x in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        draw.line([at(x, across), at(y, down), at(x + 1, across), at(y, down)], fill=colour)
    for y, x in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        draw.line([at(x, across), at(y, down), at(x, across), at(y + 1, down)], fill=colour)
    return np.asarray(picture)


def at(place: float, scale: float) -> int:
    """The pixel of a tile at which an edge of the mask lies."""
    return min(round(place * scale), TILE - 1)


def strip(tiles: list[np.ndarray], alt: str, columns: int = 0, encoding: str = 'PNG') -> Panel:
    """Tiles side by side, `columns` per row (all by default), each with a gap to its right and below.

    A PNG with a palette is smallest and exact for grey images with outlines; heat and colour have too many for one.
    """
    columns = columns or len(tiles)
    step = TILE + GAP
    canvas = Image.new('RGB', (columns * step, -(-len(tiles) // columns) * step), 'white')
    for i, pixels in enumerate(tiles):
        canvas.paste(Image.fromarray(pixels), (i % columns * step, i // columns * step))
    file = io.BytesIO()
    if encoding == 'PNG':
        canvas = canvas.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    canvas.save(file, encoding, **ENCODINGS[encoding])
    return Panel(data_uri(f'image/{encoding.lower()}', file.getvalue()), alt, canvas.width)


def contact_sheet(sheet: dict[str, np.ndarray], classes: list[str]) -> list[tuple[str, Panel]]:
    """(finding, its images with the finding's box) in the order of the classes, those without a finding first."""
    groups = []
    for k in (-1, *range(len(classes))):
        rows = np.flatnonzero(sheet['finding'] == k)
        name = 'no finding' if k < 0 else classes[k]
        if len(rows):
            tiles = [boxed(sheet['images'][row], sheet['boxes'][row]) for row in rows]
            encoding = 'PNG' if sheet['images'].ndim == 3 else 'JPEG'
            groups.append((name, strip(tiles, f'Training images: {name}.', columns=2, encoding=encoding)))
    return groups


def boxed(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A tile with a box x0 y0 x1 y1 in pixels of the image, if it is not NaN."""
    picture = Image.fromarray(tile(image))
    if np.isfinite(box).all():
        scale = TILE / np.array([image.shape[1], image.shape[0]] * 2)
        corners = np.clip(np.round(box * scale), 0, TILE - 1)
        ImageDraw.Draw(picture).rectangle(corners.tolist(), outline=OUTLINE)
    return np.asarray(picture)


def mean_heat(maps: np.ndarray) -> np.ndarray:
    """Mean of the positive parts of maps [members,H,W], each scaled to 0..1 by its own maximum; an empty one is 0."""
    positive = np.maximum(np.nan_to_num(maps), 0)
    peak = positive.max((1, 2), keepdims=True)
    return np.divide(positive, peak, out=np.zeros_like(positive), where=peak > 0).mean(0)


def disagreement(maps: np.ndarray) -> np.ndarray:
    """Twice the standard deviation over members of maps [members,H,W], each scaled as in `mean_heat`: at most 1."""
    positive = np.maximum(np.nan_to_num(maps), 0)
    peak = positive.max((1, 2), keepdims=True)
    return 2 * np.divide(positive, peak, out=np.zeros_like(positive), where=peak > 0).std(0)


def maps(gallery: dict[str, np.ndarray], heat_of: np.ndarray, groups: dict[str, list[int]], classes) -> list:
    """(finding, strip) of every pair: the image, the constant map, then a tile per arm, with the finding's outline; and
    of arms with several seeds a second strip, with how much their maps disagree.

    heat_of: [P,G,H,W] maps of all members; groups: arm -> its living members.
    """
    rows = []
    for g in pairs_to_show(gallery['finding']):
        image, mask = gallery['images'][g], gallery['mask'][g]
        constant = mean_heat(gallery['constant'][g : g + 1].astype(np.float32))
        heats = [
            constant,
            *(mean_heat(heat_of[members, g]) if members else constant * 0 for members in groups.values()),
        ]
        tiles = [tile(image), *(heated(image, heat) for heat in heats)]
        name = classes[int(gallery['finding'][g])]
        alt = f'{name}: a test image, the constant map on it, and the mean map of {", ".join(groups)}.'
        rows.append((name, strip([outlined(pixels, mask, OUTLINE) for pixels in tiles], alt, encoding='JPEG')))
        if any(len(members) > 1 for members in groups.values()):
            several = {arm: members if len(members) > 1 else [] for arm, members in groups.items()}
            spread = [disagreement(heat_of[n, g]) if n else constant * 0 for n in several.values()]
            tiles = [tile(image), tile(image), *(heated(image, heat) for heat in spread)]
            alt = f'{name}: the same test image, and how far the maps of the seeds of {", ".join(groups)} disagree.'
            outlines = [outlined(pixels, mask, OUTLINE) for pixels in tiles]
            rows.append((f'{name}: disagreement', strip(outlines, alt, encoding='JPEG')))
    return rows


def pairs_to_show(finding: np.ndarray) -> list[int]:
    """The first pairs of every finding [G], finding by finding, as many of each as make about `ROWS` rows."""
    most = max(1, ROWS // max(1, len(np.unique(finding))))
    shown = [g for g, k in enumerate(finding) if (finding[:g] == k).sum() < most]
    return sorted(shown, key=lambda g: finding[g])


def units_to_show(units: dict[str, np.ndarray], most: int) -> list[tuple[int, int]]:
    """(unit, concept) of detector units, each with its best concept: the best unit of every concept first, by IoU."""
    if 'detector' not in units:
        return []
    iou = np.where(units['detector'], units['iou'], -1)
    best = iou.argmax(1)
    pairs = sorted(((iou[unit, s], unit, s) for unit, s in enumerate(best) if iou[unit, s] >= 0), key=lambda p: -p[0])
    rank: dict[int, int] = {}
    ordered = []
    for value, unit, s in pairs:
        rank[s] = rank.get(s, -1) + 1
        ordered.append((rank[s], -value, unit, int(s)))
    return [(unit, s) for _, _, unit, s in sorted(ordered)[:most]]


def unit(images: np.ndarray, units: dict[str, np.ndarray], number: int, alt: str) -> Panel:
    """The images that excite a unit most, with the area in which it is above its threshold."""
    tiles = []
    for row, activation in zip(units['top'][number], units['top_maps'][number], strict=True):
        active = enlarge(activation) > units['threshold'][number]
        tiles.append(outlined(tile(images[row]), active, ACTIVE))
    return strip(tiles, alt, encoding='PNG' if images.ndim == 3 else 'JPEG')
