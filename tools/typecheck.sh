#!/usr/bin/env bash
# Type-check the checkout as it is installed: the stages inside the package. mypy follows the links of a throw-away tree.
# Usage: bash tools/typecheck.sh [convert|preprocess|infer|metrics|reports|FILE...]      (without arguments: everything)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$(command -v "${PYTHON:-$root/.venv/bin/python}" || command -v python3)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir "$tree/portproof"
for item in "$root"/src/portproof/*.py "$root"/src/portproof/*/ "$root"/convert "$root"/preprocess "$root"/infer "$root"/metrics "$root"/reports; do
    [ "$(basename "$item")" = __pycache__ ] || ln -s "${item%/}" "$tree/portproof/"
done
touch "$tree/portproof/py.typed"
cd "$tree"
[ $# -gt 0 ] || set -- ""
"$python" -m mypy --config-file "$root/pyproject.toml" --cache-dir "$root/.mypy_cache" "${@/#/portproof/}"
