#!/usr/bin/env bash
# Make the lock files and the bill of materials anew: run it after a change of the dependencies in pyproject.toml, and read the difference.
#   bash tools/lock.sh [OPTION OF uv pip compile]...     such as --upgrade-package numpy, --upgrade, --constraint FILE
# What the locks pin already stays, unless an option says otherwise. It takes some minutes: the bill is read off an environment that is made for it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/tools"
"$place/tools/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.5' 'cyclonedx-bom>=7'
mkdir -p locks
for extra in demo test; do
    # setuptools builds PortProof itself: the environment must not fetch one that no hash vouches for.
    echo setuptools | "$place/tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --extra "$extra" --output-file "locks/$extra.txt" "$@" pyproject.toml -
done
python3 -m venv --without-pip "$place/demo"
"$place/tools/bin/python" -m pip --python "$place/demo/bin/python" install --quiet --disable-pip-version-check --require-hashes --requirement locks/demo.txt
# The order and the identifiers do not change from run to run; links to projects' pages are left out, they are no part of what was installed.
"$place/tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --short-PURLs --output-reproducible "$place/demo" |
    "$place/tools/bin/python" -c '
import json, sys
def bare(node):
    if isinstance(node, dict):
        return {key: bare(value) for key, value in node.items() if key != "externalReferences"}
    return [bare(value) for value in node] if isinstance(node, list) else node
print(json.dumps(bare(json.load(sys.stdin)), indent=1, sort_keys=True))' >"$place/demo.cdx.json"
mv "$place/demo.cdx.json" locks/demo.cdx.json
