"""What is compared of two working directories that are to be equal."""


def contents(workdir) -> dict[str, bytes]:
    """Everything that is a result: all files but the record of when and how it ran, and the checkpoints."""
    files = (path for path in workdir.rglob('*') if path.is_file() and 'checkpoints' not in path.parts)
    results = (path for path in files if path.name not in ('provenance.json', 'manifest.json', 'plan.json', '.lock'))
    return {str(path.relative_to(workdir)): path.read_bytes() for path in results}
