"""The trace is written as viewers expect it, and the table counts every compiled operation once."""

import gzip
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from imbalance_jax.system import profiling

RUNS, ITERATIONS = 2, 3

# A program as a GPU runs it: a library's convolution, a fused product of matrices, two copies, a loop.
GPU_TEXT = """HloModule jit_step, is_scheduled=true

%fused (p: f32[4,8], q: f32[8,4]) -> f32[4,4] {
  %p = f32[4,8]{1,0} parameter(0)
  %q = f32[8,4]{1,0} parameter(1)
  ROOT %dot.1 = f32[4,4]{1,0} dot(%p, %q), metadata={op_name="jit(step)/while/body/jvp(CNN)/head/dot_general"}
}

ENTRY %main (x: f32[4,8], y: f32[8,4]) -> f32[4,4] {
  %x = f32[4,8]{1,0} parameter(0)
  %y = f32[8,4]{1,0} parameter(1)
  %conv.2 = (f32[4,8]{1,0}, /*index=1*/u8[16]{0}) custom-call(%x), custom_call_target="__cudnn$convForward"
  %gemm_fusion.1 = f32[4,4]{1,0} fusion(%x, %y), kind=kCustom, calls=%fused
  %copy.1 = f32[4,8]{1,0} copy(%x)
  %copy.2 = f32[4,8]{0,1} copy(%x)
  %while.1 = (f32[4,4]{1,0}) while(%gemm_fusion.1), condition=%less, body=%more
  ROOT %add.1 = f32[4,4]{1,0} add(%gemm_fusion.1, %gemm_fusion.1), metadata={op_name="jit(step)/add"}
}
"""


def event(operation, duration, name='', module='jit_step', program=1):
    return name or operation, duration, {'hlo_op': operation, 'hlo_module': module, 'program_id': program}


@pytest.fixture(scope='module')
def traced(tmp_path_factory):
    """A trace of a loop of convolutions and a transposition, and the program."""

    def function(x, y, kernel):
        def convolve(image):
            with jax.named_scope('stage1'):
                return jax.lax.conv_general_dilated(image, kernel, (1, 1), 'SAME', dimension_numbers=layout)

        return jax.lax.map(convolve, x), jnp.transpose(y, (2, 0, 1)) + 1

    layout = ('NHWC', 'HWIO', 'NHWC')
    x, y, kernel = jnp.ones((ITERATIONS, 2, 8, 8, 4)), jnp.ones((64, 96, 32)), jnp.ones((3, 3, 4, 8))
    program = jax.jit(function).lower(x, y, kernel).compile()
    folder = tmp_path_factory.mktemp('profile')
    jax.block_until_ready(program(x, y, kernel))
    with profiling.trace(folder):
        for _ in range(RUNS):
            jax.block_until_ready(program(x, y, kernel))
    return folder, program


def test_viewers_find_the_trace(traced):
    (run,) = (traced[0] / 'plugins' / 'profile').iterdir()
    assert len(list(run.glob('*.xplane.pb'))) == 1
    with gzip.open(run / 'perfetto_trace.json.gz') as file:
        events = json.load(file)['traceEvents']
    names = {event.get('name') for event in events}
    assert {row['operation'] for row in profiling.costliest(traced[0], count=None)} <= names
    assert not any(str(name).startswith('$') for name in names)  # those of the Python tracer


def test_costliest_of_a_real_trace(traced):
    folder, program = traced
    rows = profiling.costliest(folder, [program], count=None)
    assert sum(row['share'] for row in rows) == pytest.approx(1)
    assert [row['milliseconds'] for row in rows] == sorted((row['milliseconds'] for row in rows), reverse=True)
    (convolution,) = [row for row in rows if row['kind'] == 'convolution']
    assert convolution['calls'] == ITERATIONS * RUNS
    assert convolution['result'] == 'f32[2,8,8,8]'
    assert convolution['where'] == 'stage1/conv_general_dilated'
    moved = [row for row in rows if row['kind'] == 'transposition' and row['result'] == 'f32[32,64,96]']
    assert moved  # XLA makes one or two of it: a transposition and a change of layout
    assert all(row['calls'] == RUNS for row in moved)
    assert 'while(' in program.as_text()
    assert not any(row['operation'].startswith('while') for row in rows)
    assert profiling.costliest(folder, [program], count=2) == rows[:2]
    assert {row['operation'] for row in profiling.costliest(folder, count=None)} == {row['operation'] for row in rows}


def test_an_operation_is_summed_over_streams_and_its_kind_is_read_from_the_program():
    events = [
        event('conv.2', 3e6, 'sm90_xmma_fprop'),
        event('conv.2', 1e6, 'nchwToNhwc'),
        event('gemm_fusion.1', 2e6, 'gemm_fusion_1'),
        event('copy.1', 5e5, 'MemcpyD2D'),
        event('copy.2', 1e6, 'wrapped_transpose'),
        event('add.1', 5e5, 'loop_add'),
        ('MemcpyH2D', 1e6, {'correlation_id': 7}),
        event('while.1', 1e6, 'MemcpyD2H'),
    ]
    rows = {row['operation']: row for row in profiling.rank(events, [GPU_TEXT])}
    assert {name: row['kind'] for name, row in rows.items()} == {
        'conv.2': 'convolution',
        'gemm_fusion.1': 'matrix product',
        'copy.1': 'copy',
        'copy.2': 'transposition',
        'add.1': 'elementwise',
        'MemcpyH2D': 'kernel',
        'MemcpyD2H': 'kernel',
    }
    first = rows['conv.2']
    assert (first['calls'], first['milliseconds'], first['share']) == (2, 4.0, pytest.approx(0.4))
    assert first['result'] == '(f32[4,8], u8[16])'
    assert rows['gemm_fusion.1']['where'] == 'jvp(CNN)/head/dot_general'


def test_a_container_is_not_counted_with_or_without_the_program():
    events = [event('while.1', 9e6), event('add.1', 2e6), event('add.1', 1e6)]
    for texts in ([], [GPU_TEXT]):
        (row,) = profiling.rank(events, texts)
        assert (row['operation'], row['calls'], row['milliseconds'], row['share']) == ('add.1', 2, 3.0, 1.0)


def test_programs_of_one_name_are_told_apart_by_their_operations():
    other = GPU_TEXT.replace('conv.2', 'conv.9').replace('gemm_fusion.1', 'gemm_fusion.9').replace('[4,4]', '[5,5]')
    events = [event('add.1', 1e6), event('gemm_fusion.1', 1e6)]
    events += [event('add.1', 4e6, program=2), event('gemm_fusion.9', 2e6, program=2)]
    for texts in ([GPU_TEXT, other], [other, GPU_TEXT]):
        rows = profiling.rank(events, texts)
        assert [(row['operation'], row['result']) for row in rows[:2]] == [
            ('add.1', 'f32[5,5]'),
            ('gemm_fusion.9', 'f32[5,5]'),
        ]
        assert {row['result'] for row in rows[2:]} == {'f32[4,4]'}
    assert sum(row['milliseconds'] for row in profiling.rank(events, [GPU_TEXT])) == 2


def test_host_events_do_not_count_what_a_device_ran(tmp_path, monkeypatch):
    def line(name, *events):
        line_events = [SimpleNamespace(name=n, duration_ns=d, stats=list(s.items())) for n, d, s in events]
        return SimpleNamespace(name=name, events=line_events)

    launch, kernel = event('conv.2', 7e6), event('conv.2', 3e6, 'sm90_xmma_fprop')
    planes = [
        SimpleNamespace(name='/host:CPU', lines=[line('python', launch)]),
        SimpleNamespace(name='/device:GPU:0', lines=[line('Stream #13(Compute)', kernel), line('XLA Ops', launch)]),
        SimpleNamespace(name='/device:GPU:1', lines=[line('Stream #13(Compute)', kernel)]),
    ]
    profile = SimpleNamespace(from_file=lambda file: SimpleNamespace(planes=planes))
    monkeypatch.setattr(jax.profiler, 'ProfileData', profile)
    (tmp_path / 'plugins/profile/now').mkdir(parents=True)
    (tmp_path / 'plugins/profile/now/host.xplane.pb').touch()
    program = SimpleNamespace(as_text=lambda: GPU_TEXT)
    (row,) = profiling.costliest(tmp_path, [program])
    assert (row['operation'], row['kind'], row['calls'], row['milliseconds']) == ('conv.2', 'convolution', 2, 6.0)


def test_table_says_what_share_its_rows_make_up():
    rows = profiling.rank([event('add.1', 3e6), event('copy.1', 1e6), event('copy.2', 4e6)], [GPU_TEXT], count=2)
    lines = profiling.table(rows).splitlines()
    assert len(lines) == 1 + 2 + 1
    start = lines[0].index('kind')
    assert [line[start:].split()[0] for line in lines[:3]] == ['kind', 'transposition', 'elementwise']
    assert '87.5%' in lines[-1]
    assert '7.00 ms' in lines[-1]
    assert 'No' in profiling.table([])


def test_errors_name_the_folder_and_the_programs(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        profiling.costliest(tmp_path)
    with pytest.raises(ValueError, match=r'jit_step.*jit_other'):
        profiling.rank([event('add.1', 1e6, module='jit_other')], [GPU_TEXT])
