"""object-CXR in miniature: shapes as text, of three types."""

from data.miniatures.films import film, table

SHAPES = ('', '0 4 6 20 30', '1 10 8 50 40', '2 5 5 40 10 30 50 8 40', '0 1 1 9 9;1 20 20 30 40;2 40 2 60 2 50 30')
SIZE = (64, 80)


def write(folder, test=False):
    """80 x 64 pixels; `test.csv` came later and may be absent."""
    for split, count in (('train', 24), ('dev', 8), ('test', 6))[: 3 if test else 2]:
        lines = ['image_name,annotation']
        for number in range(count):
            name = f'{split}_{number:05d}.jpg'
            lines.append(f'{name},{SHAPES[number % len(SHAPES)]}')
            film(folder / split / name, *SIZE)
        table(folder / f'{split}.csv', lines)
    return folder
