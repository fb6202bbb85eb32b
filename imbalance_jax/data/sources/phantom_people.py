"""Who the phantom's patients are and how they were filmed: sex, age and view, drawn beside films that stay the same.

Three groupings of three kinds, so that what is said of groups can be checked:

* sex shows in the film and has nothing to do with the findings: all patients with breast shadows are female, and
  `FEMALE_WITHOUT` of the others, which makes half of all;
* view shows faintly: films that are magnified by the tube's distance, as at the bedside, tend to be AP;
* age shows nowhere: whatever differs between its bands is chance.
"""

import numpy as np

GROUPS = {'sex': ('female', 'male'), 'age': ('under 40', '40 to 59', '60 and over'), 'view': ('PA', 'AP')}
FEMALE_WITHOUT = 1 / 6  # of the patients without breast shadows, which are 60 %
AGES = (0.3, 0.4, 0.3)  # share of each band
MAGNIFIED = 1.03  # scale of a film; from there on AP has probability 0.6, below it 0.1


def draw_person(rng: np.random.Generator, build: dict) -> tuple[int, int]:
    """Sex and age band of a patient of this build (`phantom_anatomy.draw_patient`), as indices into `GROUPS`."""
    female = build['breasts'] > 0 or rng.random() < FEMALE_WITHOUT
    return int(not female), int(rng.choice(len(AGES), p=AGES))


def draw_view(rng: np.random.Generator, visit: dict) -> int:
    """View of a film (`phantom_anatomy.draw_visit`), as an index into `GROUPS['view']`."""
    return int(rng.random() < (0.6 if visit['scale'] >= MAGNIFIED else 0.1))
