#!/bin/sh
# Make .venv with a Python of at least 3.11. Works without the distribution's venv package, too, as long as there is a pip.
set -eu

# $PYTHON first, then whatever this machine has, the usual name before the versioned ones.
find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

if [ -x .venv/bin/python ]; then
    exit 0
fi
if ! python=$(find_python); then
    echo "trilat: needs Python 3.11 or newer; found: $(python3 --version 2>&1 || true)" >&2
    echo "  What to do: install it (Debian 12 and newer: apt-get install python3 python3-pip), or name one: make setup PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv .venv
elif "$python" -m pip --version >/dev/null 2>&1; then
    # Debian keeps ensurepip in a package of its own; the pip there is can install into the new environment.
    "$python" -m venv --without-pip .venv
    "$python" -m pip --python .venv/bin/python install --quiet --require-hashes -r requirements/build.txt
else
    echo "trilat: $python has neither venv nor pip" >&2
    echo "  What to do: apt-get install python3-venv python3-pip" >&2
    exit 1
fi
echo "python: $(.venv/bin/python --version) in .venv"
