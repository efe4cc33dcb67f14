#!/usr/bin/env bash
# Set up .venv: `scripts/setup.sh run` with what `make run` needs, `scripts/setup.sh test` with what the tests need too.
# PYTHON=/path/to/python chooses the Python. Does nothing, quickly, when nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-run}
case $kind in
    run) lock=requirements.lock ;;
    test) lock=requirements-dev.lock ;;
    *) echo "usage: scripts/setup.sh run|test" >&2; exit 2 ;;
esac
venv=.venv
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { echo "setup: $*" >&2; }
stop() { say "$@"; exit 1; }
quietly() { "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; return 1; }; }

wanted=$(cat pyproject.toml scripts/setup.sh scripts/uv.txt "$lock" | sha256sum | cut -d' ' -f1)
# A version manager's shim answers to a name without having that Python behind it, so each one is run.
interpreter() {
    "$1" - <<'EOF' 2>/dev/null
import ctypes, os, ssl, sys
if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info < (3, 13):
    raise SystemExit(1)
print(os.path.realpath(sys._base_executable))
EOF
}

current=$(interpreter "$venv/bin/python" || true)
if [ -n "$current" ] && [ "$(cat "$venv/.setup-$kind" 2>/dev/null)" = "$wanted" ]; then
    [ -n "${PYTHON:-}" ] && [ "$(interpreter "$PYTHON")" != "$current" ] || exit 0
fi

# Debian packages that a Python lacks: its venv module, and the shared library that Triton's Python stub is linked to.
lacks() {
    "$1" - <<'EOF'
import ctypes.util, importlib.util, os, sys, sysconfig
name = "%d.%d" % sys.version_info[:2]
library = "libpython%s.so.1.0" % name
places = [sys.base_prefix + "/lib", sysconfig.get_config_var("LIBDIR") or ""]
places += ["/usr/lib/" + (sysconfig.get_config_var("MULTIARCH") or ""), "/usr/local/lib"]
lacking = []
if importlib.util.find_spec("ensurepip") is None:
    lacking.append("python%s-venv" % name)
if not any(os.path.exists(os.path.join(place, library)) for place in places):
    lacking.append("libpython" + name)
print(" ".join(lacking))
EOF
}

find_python() {
    local name found first=""
    for name in ${PYTHON:-python3.12 python3.11 python3 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3}; do
        found=$(interpreter "$name") || continue
        first=${first:-$found}
        if [ -z "$(lacks "$found")" ]; then echo "$found"; return; fi
    done
    echo "$first"
}

install_packages() {
    local as_root=()
    say "these system packages are missing: $*"
    command -v apt-get >/dev/null || stop "install what they are called on this system, and start again"
    if [ "$(id -u)" != 0 ]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            stop "install them with this command, and start again: sudo apt-get install -y $*"
        fi
    fi
    say "installing them with apt-get"
    quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
    # No service of a package begins: the tests start what they need themselves.
    # shellcheck disable=SC2016 # expanded by the shell that it is for
    quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod +x $policy
        fi
        apt-get install -y -qq --no-install-recommends "$@"' sh "$@" ||
        stop "apt-get could not install them: $*"
}

[ "$(uname -sm)" = "Linux x86_64" ] || stop "the embedded speech server runs on Linux on x86-64; this is $(uname -sm)"
python=${PYTHON:+$(find_python)}
python=${python:-${current:-$(find_python)}}
[ -n "$python" ] || stop "Python 3.11 or 3.12 is needed and was not found." \
    "On Debian 12 or Ubuntu 24.04: apt-get install python3 python3-venv. Another one: PYTHON=/path/to/python make run"

packages=$(lacks "$python")
if [ "$kind" = test ] && ! { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null; then
    packages="$packages chromium"
fi
if [ "$kind" = test ] && ! { command -v prometheus && command -v promtool; } >/dev/null; then
    packages="$packages prometheus"
fi
# shellcheck disable=SC2086 # words are package names
if [ -n "${packages// /}" ]; then install_packages $packages; fi

if [ "$current" != "$python" ]; then
    say "making $venv with $python"
    rm -rf "$venv"
    quietly "$python" -m venv "$venv" || stop "$python could not make a virtual environment"
fi

# uv does not read pip's settings; a mirror or certificate that pip was told of is meant for it, too.
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url 2>/dev/null || true)}
[ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$PIP_CERT}
export UV_LINK_MODE=copy

say "installing the packages of $lock"
quietly "${pip[@]}" install --quiet --require-hashes --only-binary :all: -r scripts/uv.txt ||
    stop "the package installer could not be fetched; is there a network?"
uv=("$venv/bin/uv" pip install --quiet --python "$venv/bin/python")
quietly "${uv[@]}" --require-hashes --only-binary :all: -r "$lock" || stop "the packages could not be installed"
quietly "${uv[@]}" --no-deps --editable . || stop "Parley itself could not be installed into $venv"
quietly "$venv/bin/parley" doctor || { cat "$log" >&2; stop "something that is needed is wrong, as said above"; }
for done in run "$kind"; do
    other=$([ "$done" = run ] && echo requirements.lock || echo requirements-dev.lock)
    cat pyproject.toml scripts/setup.sh scripts/uv.txt "$other" | sha256sum | cut -d' ' -f1 >"$venv/.setup-$done"
done
