"""Data sets by name. A new one is a function `make(*, image_size, option=default) -> Dataset` and one line here."""

import inspect
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial as partial_function
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from imbalance_jax.data import dataset as dataset_module
from imbalance_jax.data import denied, soundness
from imbalance_jax.data.dataset import SPLITS, Dataset
from imbalance_jax.data.sources import (
    brax,
    chestx_det,
    chexlocalize,
    chexmask,
    chexpert,
    content,
    cxr_lt,
    declared,
    jsrt,
    medmnist,
    mimic_cxr,
    nih_chest_xray14,
    nih_cxr_lt,
    nih_google,
    object_cxr,
    padchest,
    padchest_gr,
    phantom,
    phantom_twins,
    room,
    rsna_pneumonia,
    siim_acr,
    tfds_any,
    vindr_cxr,
)
from imbalance_jax.data.sources import folder as folder_source
from imbalance_jax.data.twins import Twins
from imbalance_jax.names import lookup
from imbalance_jax.system import locks

__all__ = [
    'DATASETS',
    'NOT_OPTIONS',
    'SPLITS',
    'Dataset',
    'Source',
    'Twins',
    'check',
    'check_options',
    'find',
    'key',
    'load',
]
log = logging.getLogger(__name__)


class Source(NamedTuple):
    """Where a data set comes from.

    make: (image_size=..., **options) -> Dataset. Its signature is its contract: options are its keyword parameters, and
    it is given, if it has a parameter of that name: `progress`, called as progress(done, total); `allocate`, called as
    allocate(field, shape, dtype) for an array of zeros that is a file, so that `images` and `region_mask` need not fit
    the memory; `tfds_dir`, a folder for TFDS; `again`, whether to use nothing that was kept. With `**` in its signature
    it is given any option. Options are paths that are annotated as `Path` or whose name ends in `_dir`.
    inputs: options -> what else the result depends on, as JSON.
    leftovers: options -> folders that a `make` of the same options has left if it was killed, and that no other uses.
    twins: (data set, rows [M], concept) -> those images with and without the concept and else the same (`twins.Twins`),
    or None for a concept that it cannot take away; None for a source that has no twins.
    files: options -> {name: path} of the files that it reads, whose bytes the result depends on; None for all files
    below the options that are paths.
    check: options -> the classes that there will be, () if that is not known without images. It raises what `make` will
    say of options, as far as it sees; its data need not be there.
    """

    make: Callable[..., Dataset]
    inputs: Callable[..., dict] = lambda **options: {}
    leftovers: Callable[..., list[Path]] = lambda **options: []
    twins: Callable[[Dataset, np.ndarray, str], Twins | None] | None = None
    files: Callable[..., Mapping[str, Path]] | None = None
    check: Callable[..., Sequence[str]] = lambda **options: ()


def _declared(layout: Callable[..., Any]) -> Source:
    return Source(declared.maker(layout), files=declared.files(layout))


TFDS = 'tfds'  # the set tfds:NAME is the one that TFDS calls so
DATASETS: dict[str, Source | Callable[..., Dataset]] = {
    'phantom': Source(phantom.make, twins=phantom_twins.twins, check=phantom.check),
    'folder': Source(folder_source.make, files=folder_source.files, check=folder_source.check),
    'chestx_det': _declared(chestx_det.layout),
    'jsrt': _declared(jsrt.layout),
    'medmnist': Source(medmnist.make, files=medmnist.files),
    'object_cxr': _declared(object_cxr.layout),
    'padchest': _declared(padchest.layout),
    'padchest_gr': _declared(padchest_gr.layout),
    'siim_acr': _declared(siim_acr.layout),
    TFDS: Source(tfds_any.make, files=tfds_any.files),
    'vindr_cxr': _declared(vindr_cxr.layout),
    'nih_chest_xray14': Source(
        nih_chest_xray14.make, files=nih_chest_xray14.files, leftovers=nih_chest_xray14.leftovers
    ),
    'nih_cxr_lt': Source(nih_cxr_lt.make, files=nih_cxr_lt.files_of),
    'nih_google': Source(nih_google.make, files=nih_google.files_of),
    'rsna_pneumonia': Source(rsna_pneumonia.make, files=rsna_pneumonia.files_of),
    'chexpert': Source(chexpert.make, files=chexpert.files_of),
    'chexlocalize': Source(chexlocalize.make, files=chexlocalize.files_of),
    'mimic_cxr': Source(mimic_cxr.make, files=mimic_cxr.files_of),
    'cxr_lt': Source(cxr_lt.make, files=cxr_lt.files_of),
    'brax': Source(brax.make, files=brax.files_of),
}
WITH_CHEXMASK = (  # chest radiographs, which may get lungs and hearts as regions by the option `chexmask`
    'brax',
    'chexpert',
    'cxr_lt',
    'folder',
    'mimic_cxr',
    'nih_chest_xray14',
    'nih_cxr_lt',
    'nih_google',
    'padchest',
    'padchest_gr',
    'siim_acr',
    'vindr_cxr',
)
# What `load` gives, or a config says for all data sets.
NOT_OPTIONS = ('image_size', 'progress', 'tfds_dir', 'allocate', 'again', 'set_name')
READER = 'reader'  # the option that says which source a set is read by, where that is not its name


def find(name: str, options: Mapping[str, Any] | None = None) -> Source:
    """The source of config.data.NAME, which is its option `reader` or else its name; ValueError for an unknown one."""
    reader = (options or {}).get(READER, TFDS if name.startswith(f'{TFDS}:') else name)
    what = 'data set' if reader == name else f'reader, config.data.{name}.reader:'
    source = lookup(DATASETS, reader, what)
    source = source if isinstance(source, Source) else Source(source)
    return _with_chexmask(source) if reader in WITH_CHEXMASK else source


def _with_chexmask(source: Source) -> Source:
    """The source with the option `chexmask`, whose file is one of those that its data are made from."""
    return source._replace(
        make=chexmask.optional(source.make),
        inputs=chexmask.without(source.inputs),
        leftovers=chexmask.without(source.leftovers),
        files=source.files and chexmask.with_file(source.files),
        check=chexmask.without(source.check),
    )


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """ValueError for an unknown data set, an option that its `make` does not take or lacks, or a path that is none."""
    known = inspect.signature(find(name, options).make).parameters
    offered = [option for option in known if option not in NOT_OPTIONS]
    for option, parameter in known.items():
        needed = parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
        if needed and option not in (*options, *NOT_OPTIONS):
            raise ValueError(f'config.data.{name}.{option} is missing; {", ".join(offered)} are its options.')
        if option in options:
            _check_path(options[option], parameter.annotation, f'config.data.{name}.{option}')
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        for option in (one for one in options if one not in known or one not in NOT_OPTIONS):
            lookup(dict.fromkeys((READER, *offered)), option, f'option of data set {name}, config.data.{name}.')


def check(name: str, options: Mapping[str, Any]) -> Sequence[str]:
    """`check_options`, and what the source itself can say of them; the classes that there will be, () if unknown."""
    check_options(name, options)
    source = find(name, options)
    return source.check(**_given(source, name, options))


def _check_path(value: Any, annotation: Any, where: str) -> None:
    """ValueError for another kind of value where a path is expected."""
    kinds = (annotation, *get_args(annotation))
    if Path in kinds and not isinstance(value, (str, Path)) and not (value is None and type(None) in kinds):
        raise ValueError(f'{where} is {value!r}; it must be a path, as text.')


def load(
    name: str,
    folder: Path,
    options: dict,
    progress: Callable[[int, int], Any] | None = None,
    *,
    again: bool = False,
) -> Dataset:
    """The data set of that name and options: read from `folder`, or made and kept there if it is not there or damaged.

    What is there is used if the same options, the same bytes of input files and the same code made it (`key`); what was
    made of others stays. again: it is made in any case. `progress(done, total)` is called while files are read and
    while it is made. Of several processes one makes it, and the others wait; what a killed one left is removed. Raises
    ValueError for an unknown name or option, and whatever the data set's own `make`, and `soundness.check`, say of its
    input.
    """
    source = find(name, options)
    check_options(name, options)
    room.check_folder(folder, name)
    if 'image_size' in options:
        room.check_image_size(options['image_size'], 'config.data.image_size')
    prepared = Path(folder) / name / key(name, folder, options, progress)
    options = _given(source, name, options)
    if not again and (dataset := _kept(prepared)):
        return dataset
    with locks.wait(prepared.with_name(f'{prepared.name}.lock'), str(prepared)):
        if not again and (dataset := _kept(prepared)):  # by the process that had its turn before
            return dataset
        given = {'progress': progress, 'tfds_dir': Path(folder) / 'tfds', 'again': again}
        given = {one: value for one, value in given.items() if value is not None and one in _parameters(source)}
        for left in (*dataset_module.leftovers(prepared), *source.leftovers(**options, **_paths(given))):
            shutil.rmtree(left, ignore_errors=True)
        with dataset_module.unfinished(prepared) as partial:
            if 'allocate' in _parameters(source):
                given['allocate'] = partial_function(dataset_module.allocate, partial)
            dataset = source.make(**options, **given)
            soundness.check(dataset, options.get('image_size'))
            dataset.info['name'] = name
            dataset = soundness.doubt_groups(denied.doubted(dataset))
            dataset_module.save(soundness.leave_out_duplicates(dataset), prepared, partial)
    _tell_of_others(prepared)
    return dataset_module.load(prepared, check=False)


def key(name: str, folder: Path, options: dict, progress: Callable[[int, int], Any] | None = None) -> str:
    """Sixteen hexadecimal digits of all that a data set is made from: options, the bytes of its files, and code.

    Options that are paths count by the files there, the others by their values, defaults included. What was read of a
    file is kept in `folder`: as long as the file is not written again, it costs one `stat`.
    """
    source, options = find(name, options), _given(find(name, options), name, options)
    paths = content.paths_of(source.make, options)
    plain = {one: value for one, value in content.with_defaults(source.make, options).items() if one not in paths}
    files = source.files(**options) if source.files else _below(paths)
    for option, path in paths.items():
        if not path.exists():
            raise FileNotFoundError(f'config.data.{name}.{option} is {str(path)!r}, and there is no such file.')
    made_from = {
        'name': name,
        'options': {one: value for one, value in plain.items() if one not in NOT_OPTIONS or one == 'image_size'},
        'files': content.digest(files, Path(folder) / content.CACHE, progress),
        'code': content.code(source.make),
        'inputs': source.inputs(**options),
    }
    return dataset_module.key(made_from)


def path_options(name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of a set's options that are paths, which count by the files there."""
    source = find(name, options)
    return tuple(content.paths_of(source.make, _given(source, name, options)))


def _below(paths: dict[str, Path]) -> dict[str, Path]:
    """All files of options that are paths; FileNotFoundError naming an option whose path is not there."""
    for option, path in paths.items():
        if not path.exists():
            raise FileNotFoundError(f'{option}: there is no {path}.')
    return {f'{option}/{file}': at for option, path in paths.items() for file, at in content.below(path).items()}


def _given(source: Source, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What `make` is given of a set's options: its name, if it asks for that, but not which source reads it."""
    named = {'set_name': name} if 'set_name' in _parameters(source) else {}
    return {**{option: value for option, value in options.items() if option != READER}, **named}


def _parameters(source: Source) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(source.make).parameters


def _paths(given: dict[str, Any]) -> dict[str, Any]:
    """What `leftovers` is given beside options."""
    return {one: value for one, value in given.items() if one == 'tfds_dir'}


def _tell_of_others(prepared: Path) -> None:
    """Says that what was prepared of other options, files or code is still there."""
    others = [path for path in prepared.parent.iterdir() if path.is_dir() and path.name[0] != '.' and path != prepared]
    if others:
        kept = f'{len(others)} prepared before, of other options, files or code,'
        print(f'{prepared.parent.name}: prepared as {prepared}; {kept} kept beside it.', flush=True)


def _kept(prepared: Path) -> Dataset | None:
    """What was prepared before, None if it was not, or if it is damaged."""
    try:
        return dataset_module.load(prepared)
    except FileNotFoundError:
        return None
    except ValueError as error:
        log.warning('%s It is made again.', error)
        return None
