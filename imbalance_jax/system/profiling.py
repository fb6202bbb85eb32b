"""A profile on request: a trace that TensorBoard and Perfetto open, and the table of its costliest operations."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax

# A fusion is of the first of these kinds that it holds an instruction of; one that holds none is elementwise.
KINDS = {
    'convolution': {'convolution'},
    'matrix product': {'dot'},
    'communication': {'all-gather', 'all-reduce', 'all-to-all', 'collective-permute', 'reduce-scatter'},
    'sort': {'sort', 'topk'},
    'scatter': {'scatter', 'select-and-scatter'},
    'gather': {'gather'},
    'reduction': {'reduce', 'reduce-window'},
    'random numbers': {'rng', 'rng-bit-generator'},
    'custom call': {'custom-call'},
    'transposition': {'transpose'},
    'slicing': {'slice', 'dynamic-slice', 'dynamic-update-slice', 'concatenate', 'pad', 'reverse'},
    'copy': {'copy'},
}
ELEMENTWISE, KERNEL = 'elementwise', 'kernel'
# Their time is that of the instructions inside them.
CONTAINERS = {'while', 'call', 'conditional', 'async', 'async-update'}
# What a library's function does, by its name: cuDNN, cuBLAS and oneDNN.
LIBRARY = {r'conv(?!ert)': 'convolution', r'gemm|matmul': 'dot', r'top_?k': 'topk'}
# Parts of a name that say how a program loops, not which layer it is in.
STRUCTURE = {'while', 'body', 'cond', 'closed_call', 'eval_jaxpr', 'shard_map', 'shmap_body'}

MODULE = re.compile(r'HloModule ([^\s,]+)')
COMPUTATION = re.compile(r'(?:ENTRY )?%?([\w.\-]+) .*\{$')
INSTRUCTION = re.compile(r'\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([a-z][\w\-]*)\((.*)$')


class Instruction(NamedTuple):
    """An instruction of a compiled program: `result` its shape, `where` the part of the model it was traced in."""

    opcode: str
    kind: str = ''
    result: str = ''
    where: str = ''


class _Line(NamedTuple):
    opcode: str
    shape: str
    rest: str


@contextmanager
def trace(folder: Path) -> Iterator[None]:
    """Records what runs inside into folder/plugins/profile/<time>, where TensorBoard looks when given `folder`.

    Perfetto (ui.perfetto.dev) opens the perfetto_trace.json.gz in it. Only work that is complete when the block ends
    is recorded whole: block_until_ready belongs inside. A recording within another one is a RuntimeError.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # its events outnumber the operations, and a trace holds a limited number
    with jax.profiler.trace(folder, create_perfetto_trace=True, profiler_options=options):
        yield


def costliest(folder: Path, programs: Sequence[jax.stages.Compiled] = (), count: int | None = 10) -> list[dict]:
    """The `count` operations (None: all) that took longest in the newest trace in `folder`, the costliest first.

    A row is (operation, kind, calls, milliseconds, share, result, where): `milliseconds` is summed over calls, threads
    and devices, `share` is of all operations counted. `programs` are the compiled programs to count, and say what an
    operation is; without them every program counts, containers are known by name only, and kind, result and where are
    empty. On a CPU an operation split over threads may be timed (JAX 0.10) on the thread that started it alone.
    FileNotFoundError where nothing was traced, ValueError where the trace holds none of the programs.
    """
    return rank(_events(_newest(folder)), [program.as_text() or '' for program in programs], count)


def rank(events: Iterable[tuple], texts: Sequence[str] = (), count: int | None = 10) -> list[dict]:
    """Rows as of `costliest` from events (name, nanoseconds, statistics) and the HLO text of programs.

    An event belongs to the instruction statistics['hlo_op']. One without it, or one that only names the loop or the
    call it ran in, is a kernel of its own.
    """
    events = [
        ((stats.get('hlo_module'), stats.get('program_id')), stats.get('hlo_op'), name, duration)
        for name, duration, stats in events
    ]
    tables = _tables(events, texts)
    durations_of = defaultdict(list)
    for program, operation, name, duration in events:
        if identity := _identity(operation, name, tables[program]):
            durations_of[program, identity].append(duration)
    if texts and events and not durations_of:
        seen, wanted = sorted({str(program[0]) for program, *_ in events}), [_first(MODULE, text) for text in texts]
        raise ValueError(f'programs: none of {wanted} is in the trace, which holds {seen}')
    total = sum(map(sum, durations_of.values())) or 1
    rows = [
        {
            'operation': operation,
            'kind': instruction.kind,
            'calls': len(durations),
            'milliseconds': sum(durations) / 1e6,
            'share': sum(durations) / total,
            'result': instruction.result,
            'where': instruction.where,
        }
        for (_, (operation, instruction)), durations in durations_of.items()
    ]
    return sorted(rows, key=lambda row: -row['milliseconds'])[:count]


def table(rows: Sequence[dict]) -> str:
    """Rows of `costliest` as text in columns, and below them the share of the whole time that they make up."""
    if not rows:
        return 'No compiled operation was traced.'
    cells = [('ms', 'share', 'calls', 'kind', 'result', 'operation', 'where')]
    for row in rows:
        figures = (f'{row["milliseconds"]:.2f}', f'{row["share"]:.1%}', str(row['calls']))
        cells.append((*figures, row['kind'], _short(row['result'], 32), _short(row['operation'], 32), row['where']))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    form = '  '.join(f'{{:{side}{width}}}' for side, width in zip('>>><<<<', widths, strict=True))
    share, time = (sum(row[field] for row in rows) for field in ('share', 'milliseconds'))
    last = f'These {len(rows)} make up {share:.1%} of the time of all operations counted ({time:.2f} ms).'
    return '\n'.join([*(form.format(*row).rstrip() for row in cells), last])


def instructions(text: str) -> dict[str, Instruction]:
    """Name -> instruction, of the HLO text of a compiled program."""
    computations = _computations(text)
    return {name: _instruction(line, computations) for body in computations.values() for name, line in body.items()}


def _newest(folder: Path) -> Path:
    files = list(Path(folder).glob('plugins/profile/*/*.xplane.pb'))
    if not files:
        raise FileNotFoundError(f'{folder}: holds no plugins/profile/<time>/*.xplane.pb; trace something into it first')
    return max(files, key=lambda file: file.stat().st_mtime_ns)


def _events(file: Path) -> Iterator[tuple[str, float, dict]]:
    """(name, nanoseconds, statistics) of what the devices ran; of what the host ran where there is no other device.

    With another device the host's events are the launches of what the device runs, and would count it twice.
    """
    profile = jax.profiler.ProfileData.from_file(str(file))
    planes = list(profile.planes)
    devices = [plane for plane in planes if re.match(r'/device:(GPU|TPU):', plane.name)]
    for plane in devices:
        lines = list(plane.lines)  # a GPU has one for each stream, and summaries of these beside them
        streams = [line for line in lines if line.name.startswith('Stream')]
        for line in streams or [line for line in lines if line.name == 'XLA Ops']:
            for event in line.events:
                stats = dict(event.stats)
                if not streams:  # a TPU's events are instructions, and their names may be the whole HLO line
                    stats.setdefault('hlo_op', event.name.split(' = ')[0].lstrip('%'))
                yield (event.name if streams else stats['hlo_op']), event.duration_ns, stats
    for plane in () if devices else planes:
        for line in plane.lines:
            for event in line.events:
                stats = dict(event.stats)
                if 'hlo_op' in stats:
                    yield event.name, event.duration_ns, stats


def _tables(events: list[tuple], texts: Sequence[str]) -> dict[tuple, dict[str, Instruction]]:
    """Program of the trace -> the instructions of the text that it was compiled to.

    Programs may have one name, so the text is the one of that name with most of the operations seen; a program of
    whose operations it has not even half is none of those wanted.
    """
    seen: dict[tuple, set[str]] = defaultdict(set)
    for program, operation, *_ in events:
        seen[program] |= {operation} - {None}
    if not texts:
        return {program: {name: Instruction(name.split('.')[0]) for name in names} for program, names in seen.items()}
    known = [(_first(MODULE, text), instructions(text)) for text in texts]
    tables = {}
    for program, names in seen.items():
        alike = [table for module, table in known if program[0] in (None, module)]
        best = max(alike, key=lambda table: len(names & table.keys()), default={})
        tables[program] = best if 2 * len(names & best.keys()) > len(names) else {}
    return tables


def _identity(operation: str | None, name: str, table: dict) -> tuple[str, Instruction] | None:
    """The operation that an event counts for; None if for none: a container, or of a program that is not wanted."""
    if operation is None:
        return name, Instruction(KERNEL, KERNEL)
    instruction = table.get(operation)
    if instruction and instruction.opcode in CONTAINERS:
        return None if name == operation else (name, Instruction(KERNEL, KERNEL))
    return instruction and (operation, instruction)


def _computations(text: str) -> dict[str, dict[str, _Line]]:
    """Name -> its lines by name; a line's opcode says what it does, for a library's function and a copy too."""
    computations: dict[str, dict[str, _Line]] = {}
    body: dict[str, _Line] = {}
    for line in text.splitlines():
        if match := INSTRUCTION.match(line):
            name, shape, opcode, rest = match.groups()
            body[name] = _Line(_opcode(opcode, shape, rest, body), shape, rest)
        elif match := COMPUTATION.match(line):
            body = computations.setdefault(match[1], {})
    return computations


def _opcode(opcode: str, shape: str, rest: str, body: dict[str, _Line]) -> str:
    if opcode == 'custom-call':
        target = _first(r'custom_call_target="([^"]*)"', rest)
        return next((does for name, does in LIBRARY.items() if re.search(name, target, re.I)), opcode)
    if opcode == 'copy':  # to another layout it moves every element, as a transposition does
        source = body.get(_first(r'%([\w.\-]+)', rest))
        before, after = (_first(r'\{([\d,]*)', layout) for layout in (source.shape if source else shape, shape))
        return 'copy' if before == after else 'transpose'
    return re.sub('-(start|done)$', '', opcode)  # the halves of a communication or a copy that others overlap


def _instruction(line: _Line, computations: dict) -> Instruction:
    inside = list(_inside(line, computations))
    kind, deciding = next(
        ((kind, part) for kind, opcodes in KINDS.items() for part in inside if part.opcode in opcodes),
        (ELEMENTWISE, line),
    )
    names = (_first(r'op_name="([^"]*)"', part.rest) for part in (deciding, line, *reversed(inside)))
    result = re.sub(r'\{[^}]*\}|/\*.*?\*/', '', line.shape)
    return Instruction(line.opcode, kind, result, _where(next(filter(None, names), '')))


def _inside(line: _Line, computations: dict) -> Iterator[_Line]:
    """The line, and all lines of what it fuses."""
    yield line
    if line.opcode == 'fusion':
        for part in computations.get(_first(r'calls=%?([\w.\-]+)', line.rest), {}).values():
            yield from _inside(part, computations)


def _where(name: str) -> str:
    parts = name.split('/')
    return '/'.join([part for part in parts[1:] if part not in STRUCTURE] or parts[-1:])


def _first(pattern: str | re.Pattern[str], text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ''


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + '…'
