"""All flags, as `ArgumentParser.add_argument` wants them; each verb names those that it has."""

from typing import Any

from imbalance_jax.system import command_line

FLAGS: dict[str, dict[str, Any]] = {
    'config': {'metavar': 'FILE', 'help': 'a config file, such as configs/quickstart.py, or FILE:ARGUMENT'},
    'workdir': {'metavar': 'FOLDER', 'help': 'where train, explain and report keep everything'},
    'weights': {'metavar': 'NAME', 'help': 'of the weights kept in WORKDIR/weights, such as matched; else the best'},
    'on': {'metavar': 'NAME', 'help': 'one data set of config.data.test_on only; else the training set, then each'},
    'stages': {'metavar': 'NAME,...', 'help': 'these stages only, such as alignment,design'},
    'again': {'action': 'store_true', 'help': 'make it anew, also if it is there'},
    'profile': {'action': 'store_true', 'help': 'trace a few steps into WORKDIR/profile, and print the costliest'},
    'out': {
        'metavar': 'FILE',
        'help': 'what to write: a config.py; a plan.jsonl, whose populations live beside it in the folder plan; or,'
        ' of export, a folder',
    },
    'member': {
        'metavar': 'FIELD=VALUE,...',
        'action': 'append',
        'help': 'a network that was trained elsewhere, arm=focal,seed=0,weights=a.pth; also link, preprocessing, '
        'classes=A|B, loss and its options; once per network',
    },
    'members': {'metavar': 'FILE.csv', 'help': 'the same as a table, a column per field and a line per network'},
    'predictions': {
        'metavar': 'FILE',
        'help': 'a table (.csv, .parquet, .npz) of what such networks said, in place of them: image, arm, seed, and a'
        ' column for each class',
    },
    'features': {
        'metavar': 'FILE',
        'help': 'their features of the test images (.npz, .parquet), in place of them or beside --predictions: image,'
        ' arm, seed, and features [n,U] or [n,h,w,U]',
    },
    'values': {'metavar': 'KIND', 'default': '', 'help': 'what these numbers are: probabilities (default) or logits'},
    'paired': {
        'action': 'store_true',
        'help': 'networks of different arms with one seed began with the same weights and met the same images',
    },
    'folder': {'metavar': 'FOLDER', 'help': 'images and tables of your own'},
    'only': {'metavar': 'ARM[/SEED]', 'default': '', 'help': 'this arm or this member only; else all'},
    'method': {'metavar': 'NAME', 'default': '', 'help': 'the attribution method of exported maps (grad_cam)'},
    'pilot': {
        'metavar': 'DIR',
        'help': 'a finished population, by whose variances plan says what can be shown; default: those of the phantom',
    },
    'memory': {
        'metavar': 'SIZE',
        'help': 'of a device, 80GiB, or of several, 8x80GiB: plan says what each stage would need, and runs nothing',
    },
    'plan': {'metavar': 'FILE.jsonl', 'help': 'what plan wrote'},
    'job': {'metavar': 'NUMBER|ID', 'help': 'this population only'},
    'shard': {'metavar': 'I/N', 'help': 'every N-th population, from number I (of 0 to N - 1)'},
    'grace': {
        'metavar': 'SECONDS',
        'type': command_line.seconds,
        'default': 8.0,
        'help': 'leave so long after a signal, or when what is being saved is whole (8; 0 for no limit)',
    },
    'watch': {'action': 'store_true', 'help': 'again and again, until no population is at work'},
    'mixed': {'action': 'store_true', 'help': 'also what different versions of the software made'},
    'traceback': {'action': 'store_true', 'help': 'with an error, show where it happened'},
}


for _flag in FLAGS.values():
    if str(_flag.get('metavar', '')).startswith(('FILE', 'FOLDER', 'DIR')):
        _flag['type'] = command_line.path
