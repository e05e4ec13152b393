# shellcheck shell=bash
# Sourced by run_*.sh: makes .venv beside them with what a command needs, once.
#   prepare_environment EXTRA [OPTION OF venv]...    a plain environment
#   prepare_environment_over MODULE EXTRA            on top of the packages of an interpreter that has MODULE; else a plain one
#   PORTPROOF_PYTHON   the interpreter to build it from (default: python3; 3.11 or newer)
#   PORTPROOF_LOCK     no: take the newest packages that pyproject.toml allows, not those of locks/EXTRA.txt (default: yes)
# A plain environment holds the versions of locks/EXTRA.txt, each file proved by its hash, where there is such a lock.
# On top of other packages no lock can hold: pyproject.toml says what is needed.

prepare_environment() {
    local extra=$1 root python stamp wanted
    shift
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    python=${PORTPROOF_PYTHON:-python3}
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "portproof: error: '$python' is not Python 3.11 or newer; set PORTPROOF_PYTHON to one that is" >&2
        return 2
    fi
    stamp=$root/.venv/portproof-$extra
    wanted=$(environment_stamp "$root")
    # What the tests need includes what everything else needs.
    if ! grep -qsxF -- "$wanted" "$stamp" "$root/.venv/portproof-test"; then
        # Two commands started at once must not install into one environment: the second waits.
        (
            flock 9
            if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
                echo "Setting up $root/.venv ($extra), only this once: minutes, and gigabytes where torch has to be downloaded (README.md)." >&2
                [ -x "$root/.venv/bin/python" ] || make_environment "$python" "$root/.venv" "$@" || exit
                install_portproof "$root" "$extra" "$@" >&2 || exit
                printf '%s\n' "$wanted" >"$stamp"
            fi
        ) 9>"$root/.venv.lock" || return
    fi
    export PORTPROOF_VENV=$root/.venv
}

prepare_environment_over() {
    local module=$1 extra=$2 python=${PORTPROOF_PYTHON:-python3}
    if ! has_module "$python" "$module"; then
        prepare_environment "$extra"
        return
    fi
    prepare_environment "$extra" --system-site-packages || return
    if ! has_module "$PORTPROOF_VENV/bin/python" "$module"; then
        echo "portproof: error: $PORTPROOF_VENV was made without the packages of '$python', which has $module; remove that folder and start again" >&2
        return 2
    fi
}

# Usage: environment_stamp ROOT    what an environment was made from
environment_stamp() {
    echo "$(cat "$1/pyproject.toml" "$1/setup.py" "$1"/locks/*.txt 2>/dev/null | cksum) lock ${PORTPROOF_LOCK:-yes}"
}

# Usage: install_portproof ROOT EXTRA [OPTION OF venv]...
install_portproof() {
    local root=$1 lock=$1/locks/$2.txt
    local pip=("$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    if [ -e "$lock" ] && [ $# -eq 2 ] && [ "${PORTPROOF_LOCK:-yes}" != no ]; then
        "${pip[@]}" --require-hashes --requirement "$lock" && "${pip[@]}" --no-deps --no-build-isolation --editable "$root"
    else
        "${pip[@]}" --editable "${root}[$2]"
    fi
}

# Usage: has_module PYTHON MODULE
has_module() {
    "$1" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$2" 2>/dev/null
}

# Usage: make_environment PYTHON FOLDER [OPTION OF venv]...
make_environment() {
    local python=$1 folder=$2 packages
    shift 2
    "$python" -m venv "$@" "$folder" || return
    if [[ " $* " == *" --system-site-packages "* ]]; then
        # To venv, the system of an interpreter that is itself in a virtual environment is what that one was made from: name its own packages too.
        packages=$("$python" -c 'import sys, sysconfig; print(*{sysconfig.get_path(k) for k in ("purelib", "platlib") if sys.prefix != sys.base_prefix}, sep="\n")')
        printf '%s\n' "$packages" >"$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/portproof-interpreter.pth"
    fi
}
