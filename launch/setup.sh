# Makes .venv with the project in it, at the versions of launch/constraints; does nothing where that is done.
# In the repository's folder: `bash launch/setup.sh`; with `test` or `bench` in the end it installs what those need, too.
# The scripts beside it source it, which leaves the environment activated.

purpose="${1:-run}"

find_python() {
    local candidate version newer=""
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        version="$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || continue
        if [ -f "launch/constraints/python$version.txt" ]; then
            echo "$candidate"
            return
        fi
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' && newer="${newer:-$candidate}"
    done
    if [ -n "$newer" ]; then
        echo "$newer"
        return
    fi
    echo "error: Python 3.11 or newer is needed; found $(python3 --version 2>&1). Set PYTHON to one." >&2
    return 1
}

make_environment() {
    local python="$1"
    rm -rf .venv
    "$python" -m venv .venv 2>/dev/null && return
    # Debian splits ensurepip off: an environment without pip, filled by the pip outside.
    rm -rf .venv
    "$python" -m venv --without-pip .venv && "$python" -m pip --version >/dev/null 2>&1 && return
    rm -rf .venv
    echo "error: $python has neither ensurepip nor pip. On Debian or Ubuntu: apt-get install python3-venv" >&2
    return 1
}

install() {
    local version constraints
    version="$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    constraints="launch/constraints/python$version.txt"
    if [ ! -f "$constraints" ]; then
        constraints="$(ls launch/constraints/python*.txt | sort -V | tail -n 1)"
        echo "No versions are pinned for Python $version; using $constraints."
    fi
    local stamp=".venv/installed-$purpose"
    local wanted
    wanted="$(cat pyproject.toml "$constraints" | cksum)"
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    echo "Installing into .venv (about a minute the first time) ..."
    local package=.
    [ "$purpose" = run ] || package=".[$purpose]"
    local pip=(.venv/bin/python -m pip)
    .venv/bin/python -m pip --version >/dev/null 2>&1 || pip=("$1" -m pip --python .venv/bin/python)
    "${pip[@]}" install -qq --disable-pip-version-check --constraint "$constraints" --editable "$package" || return 1
    echo "$wanted" > "$stamp"
    echo "$wanted" > .venv/installed-run  # every other purpose includes it
}

set_up() {
    local python
    if [ ! -f launch/setup.sh ]; then
        echo "error: launch/setup.sh works in the repository's folder, which $PWD is not." >&2
        return 1
    fi
    python="$(find_python)" || return 1
    if [ ! -f .venv/made ]; then  # none, or one that was interrupted
        make_environment "$python" || return 1
        touch .venv/made
    fi
    install "$python"
}

if set_up; then
    source .venv/bin/activate
else
    return 1 2>/dev/null || exit 1  # sourced, or run
fi
