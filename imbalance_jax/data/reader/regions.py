"""Which regions a layout gives each image: boxes, shapes and runs of tables, and mask files."""

import dataclasses
import difflib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imbalance_jax.data.reader import label_notes, paths, region_blocks
from imbalance_jax.data.reader.cases import Cases
from imbalance_jax.data.reader.contradictions import NEAR
from imbalance_jax.data.reader.drawn_files import are_of_one
from imbalance_jax.data.reader.layout import Layout, Values
from imbalance_jax.data.reader.mask_files import of_none, of_several, plan_files, without_crop
from imbalance_jax.data.reader.placing import Left, Planned, Region, Size
from imbalance_jax.data.reader.region_rows import (
    OF_LABEL,
    placed,
    plan_rows,
    rows_of,
    says_nothing,
    spelling,
    without_place,
)
from imbalance_jax.data.reader.rows import NAMED, PATH, SHOWN, Found, Rows
from imbalance_jax.data.reader.spelling import canonical
from imbalance_jax.names import some


def concepts_of(cases: Cases, layout: Layout) -> list[str]:
    """The classes, then what else there are regions of, as the layout names it or sorted."""
    names = dict.fromkeys(cases.classes)
    for regions in layout.regions:
        if regions.column:
            rows, image = rows_of(regions, cases)
            spelt = spelling(regions, cases)
            texts = set(map(str, rows.column(regions.column, 'regions.column')[image >= 0]))
            unknown = sorted(text for text in texts if canonical(text) not in spelt and not says_nothing(text, layout))
            names.update(dict.fromkeys(regions.aliases))
            if regions.others == 'add':
                names.update(dict.fromkeys(unknown))
        elif regions.values:
            names.update(dict.fromkeys(regions.values))
        elif regions.concept and regions.concept != OF_LABEL:
            names[regions.concept] = None
    return list(names)


def by_class(layout: Layout, classes: Sequence[str]) -> Layout:
    """The layout with those concepts of regions called as the class that they are but for the case of letters, blanks
    around them, or spelling of a number."""
    spelt = {canonical(name): name for name in classes}

    def meant(name: str) -> str:
        return spelt.get(canonical(name), name.strip())

    def by_meaning(values: Values) -> dict[str, tuple[str, ...]]:
        result: dict[str, tuple[str, ...]] = {}
        for name, texts in values.items():
            result[meant(name)] = (*result.get(meant(name), ()), *texts)
        return result

    return dataclasses.replace(
        layout,
        regions=tuple(
            dataclasses.replace(
                one,
                concept=meant(one.concept),
                values=by_meaning(one.values),
                aliases=by_meaning(one.aliases),
            )
            for one in layout.regions
        ),
    )


def misspelt(cases: Cases, layout: Layout) -> list[str]:
    """What is said of concepts that the layout names and that are nearly a class, and none."""
    named = [name for one in layout.regions for name in (one.concept, *one.values, *one.aliases) if name]
    said, spelt = [], [one.casefold() for one in cases.classes]
    for name in dict.fromkeys(named):
        near = difflib.get_close_matches(name.casefold(), spelt, n=1, cutoff=NEAR)
        near = near or [
            one for one in spelt if one in (name.casefold().rstrip('s'), name.casefold().removesuffix('es'))
        ]
        if near and name not in cases.classes and canonical(name) not in map(canonical, (OF_LABEL, *cases.classes)):
            meant = next(one for one in cases.classes if one.casefold() == near[0])
            said.append(f'The concept {name!r} of regions is no class, and nearly the class {meant!r}.')
    for regions in (one for one in layout.regions if one.column and one.aliases):
        rows, image = rows_of(regions, cases)
        texts = set(map(str, rows.column(regions.column, 'regions.column')[image >= 0]))
        said += label_notes.of_aliases(regions.aliases, texts, 'regions.aliases')
    return said


def planned(folder: Path, cases: Cases, layout: Layout, concepts: Sequence[str], found: Found) -> list[list[Planned]]:
    """The regions of each image; a pattern of mask files that no image has is noted. ValueError for what no region can
    be made of, in any row."""
    plan: list[list[Planned]] = [[] for _ in cases.path]
    files = paths.scan(folder, []) if any(one.files for one in layout.regions) else []
    of_blocks = []
    for regions in layout.regions:
        before = sum(map(len, plan))
        if regions.files:
            used = plan_files(folder, files, cases, regions, concepts, layout.anatomy, plan, found)
            if sum(map(len, plan)) == before:
                found.notes.append(f'No image has a mask {regions.files!r} (regions.files).')
            said = (
                of_none(files, used, regions, layout.images),
                of_several(used, regions),
                without_crop(used, cases, regions),
            )
            found.doubts.extend(filter(None, said))
            of_blocks.append((regions, used))
        else:
            plan_rows(cases, layout, regions, concepts, plan)
            if sum(map(len, plan)) == before and len(rows := rows_of(regions, cases)[0]):
                found.notes.append(f'No row of {rows.files[0]} gives an image that is here a region (regions).')
    found.doubts.extend(region_blocks.of_two(of_blocks))
    region_blocks.say_without_reader(layout.regions, found)
    return plan


def unused(cases: Cases, layout: Layout, found: Found) -> list[str]:
    """What is said of rows of regions that are of no image here, or of no concept where others are ignored; doubts of
    which image they are of go to `found`."""
    said = []
    for regions in (one for one in layout.regions if not one.files):
        rows, image = rows_of(regions, cases, found)
        if regions.table and not len(image):
            said.append(f'{rows.files[0]} has no rows: regions that it is to give are not there.')
        if regions.table and (image < 0).any():
            lost = list(dict.fromkeys(rows.files[one] for one in rows.file[image < 0].tolist()))
            where = some(lost, NAMED)
            said.append(f'{(image < 0).sum()} of {len(image)} rows of {where} are of images that are not here.')
        if of_one := [one for one in layout.tables if regions.table in (one.name, one.file) and are_of_one(one)]:
            without = sorted(set(range(len(cases.path))) - set(image.tolist()))
            if without and regions.table:
                named = some([str(cases.image_id[one]) for one in without], NAMED)
                what = 'images have no file of annotation, and count as without a region'
                found.doubts.append(f'{len(without)} of {len(cases.path)} {what} ({of_one[0].file}): {named}.')
            if not (regions.reader or regions.as_reader):
                found.doubts.extend(_of_several(rows, image, cases, of_one[0].file))
        ignores = regions.column and regions.others == 'ignore'
        given = placed(regions, rows, image) if regions.reader or ignores else image[:0]
        if regions.reader:
            who = rows.column(regions.reader, 'regions.reader')
            nobody = [row for row in given.tolist() if not str(who[row]).strip()]
            if 0 < len(nobody) < len(given):
                where = some([rows.where(row) for row in nobody], NAMED)
                what = 'rows with a region name no reader (regions.reader) and count as a consensus'
                found.doubts.append(f'{len(nobody)} {what}: {where}.')
        if ignores:
            known = set(spelling(regions, cases))
            texts = map(str, rows.column(regions.column, 'regions.column')[given])
            others = Counter(one for one in texts if canonical(one) not in known and not says_nothing(one, layout))
            what = ', '.join(f'{text} {count}' for text, count in others.most_common(SHOWN))
            said += [f'{others.total()} rows of {rows.files[0]} are of no concept: {what}.'] if others else []
    return list(dict.fromkeys(said))


def _of_several(rows: Rows, image: np.ndarray, cases: Cases, file: str) -> list[str]:
    """A sentence about images with several files of annotation. image: [n] of each row."""
    pairs = {(str(path), int(one)) for path, one in zip(rows.columns[PATH], image, strict=True) if one >= 0}
    count = Counter(one for _, one in pairs)
    several = sorted(str(cases.image_id[one]) for one, number in count.items() if number > 1)
    if not several:
        return []
    return [f'{len(several)} images have several files of annotation ({file}): {some(several, NAMED)}.']


def empty_rows(cases: Cases, layout: Layout) -> list[str]:
    """What is said of rows of regions that name a finding which their image has, and do not say where it is."""
    said = []
    for regions in (one for one in layout.regions if one.table and not one.files):
        if lacking := without_place(cases, regions):
            what = f'Rows of {regions.table} that name a finding of their image, and give no box or shape'
            said.append(f'{what}: {len(lacking)} ({some(lacking, NAMED)}).')
    return said


def made(plan: Sequence[Planned], size: Size) -> tuple[list[Region], list[tuple[str, str]]]:
    """An image's regions, and (kind of problem, name) of those left out, such as copies of a mask."""
    regions, left = [], []
    seen: set[tuple[int, str, str]] = set()
    for one in plan:
        try:
            result = one.make(size)
        except Left as reason:
            left.append((reason.kind, str(reason)))
            continue
        if result is None:
            continue
        same = one.concept, one.reader, result.digest
        if result.digest and same in seen:
            left.append(('region_twice', f'{one.file} (a mask equal to the pixel)'))
        else:
            seen.add(same)
            regions.append(Region(one.concept, result, one.reader))
    return regions, list(dict.fromkeys(left))
