"""A page of failures: what each arm is surest of although its maps point elsewhere."""

import numpy as np

from imbalance_jax.analysis.report import galleries, pages, starts
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import HEAT_STOPS, Panel, label, number
from imbalance_jax.explain import gallery
from imbalance_jax.system.workdir import write_text


def known(study: Study) -> bool:
    """Whether there is anything to show."""
    arrays = study.arrays('failures')
    return arrays is not None and 'maps' in arrays and bool(study.methods)


def write(study: Study) -> None:
    """WORKDIR/failures.html, if there is anything to show."""
    if not known(study):
        return
    method = gallery.shown_method(study.methods)

    def page() -> str:
        named = {'name': study.info['name'], 'method': label(method)}
        return pages.render('failures.html', **named, arms=rows(study), heat=HEAT_STOPS)

    write_text(study.folder / 'failures.html', starts.worded(study, page))


def rows(study: Study) -> list[tuple[str, list[tuple[str, Panel]]]]:
    """(arm, [(finding and score, picture)]): the image with the region, beside it the arm's seed-mean map."""
    shown, by_arm = study.arrays('failures') or {}, []
    for a, arm in enumerate(study.arms):
        living = [member['member'] for member in study.living(arm)]
        pictures = []
        for pair, score in zip(shown['pair'][a], shown['score'][a], strict=True):
            if pair < 0 or not living:
                continue
            image, mask = shown['images'][pair], shown['mask'][pair]
            heat = galleries.mean_heat(shown['maps'][living, pair].astype(np.float32))
            tiles = [galleries.tile(image), galleries.heated(image, heat)]
            finding = study.classes[int(shown['finding'][pair])]
            alt = f'{finding}: a test image, and the mean map of {arm} on it.'
            outlined = [galleries.outlined(pixels, mask, galleries.OUTLINE) for pixels in tiles]
            pictures.append((f'{finding}, {number(score, 2)}', galleries.strip(outlined, alt, encoding='JPEG')))
        by_arm.append((arm, pictures))
    return by_arm
