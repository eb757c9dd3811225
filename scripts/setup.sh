#!/usr/bin/env bash
# Installs what building and testing need: Debian packages (scripts/packages.txt) and a Python environment (build/venv).
# Quick when everything is there. As an ordinary user without sudo it says precisely what an administrator must install.
#
#   scripts/setup.sh          for everything
#   scripts/setup.sh --demo   only what building and scripts/demo.sh need
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

only_demo=false
case "${1:-}" in
  "") ;;
  --demo) only_demo=true ;;
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) printf 'usage: scripts/setup.sh [--demo]\n' >&2; exit 2 ;;
esac

wanted_packages() {
  awk -v only_demo="$only_demo" '
    /^# ---- for the tests only/ { if (only_demo == "true") exit }
    /^[a-z0-9]/ { print $1 }' scripts/packages.txt
}

missing_packages() {
  local package
  for package in $(wanted_packages); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
  done
}

install_packages() {
  local as_root=() missing
  missing=$(missing_packages)
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      stop "These Debian packages are missing and this user may not install them. As root, run:
  apt-get update && apt-get install --no-install-recommends $missing"
    fi
  fi
  step "installing Debian packages: $missing"
  export DEBIAN_FRONTEND=noninteractive
  logged build/logs/apt-update.log "apt-get update" ${as_root[@]+"${as_root[@]}"} apt-get update -q
  # The lock: another apt-get may be at work (unattended upgrades on a machine just started).
  # shellcheck disable=SC2086
  logged build/logs/apt-install.log "apt-get install" ${as_root[@]+"${as_root[@]}"} \
    apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 $missing
}

install_python() {
  local requirements=python/requirements-demo.txt stamp python wanted
  if [ "$only_demo" = false ] && [ -f python/requirements-test.txt ]; then requirements=python/requirements-test.txt; fi
  python=$(find_python) || stop "There is no Python >= 3.11 here with venv and headers. Install python3-venv and \
python3-dev, or name one in ONECOPY_BASE_PYTHON."
  stamp=build/venv/.installed-$(basename "$requirements" .txt)
  wanted=$(digest python/requirements-demo.txt "$requirements")
  # The environment of the tests contains that of the demo.
  if [ -x build/venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] &&
    build/venv/bin/python -c 'import numpy' 2>/dev/null; then
    return 0
  fi
  if ! build/venv/bin/python -c 'import pip' 2>/dev/null; then
    step "making a Python environment in build/venv with $python"
    rm -rf build/venv
    "$python" -m venv build/venv
  fi
  step "installing Python packages: $requirements"
  logged build/logs/pip.log "pip install" build/venv/bin/python -m pip install --use-pep517 \
    --disable-pip-version-check -r python/requirements-demo.txt -r "$requirements"
  printf '%s\n' "$wanted" >"$stamp"
}

mkdir -p build/logs
command -v dpkg-query >/dev/null ||
  stop "This script installs with apt-get, on Debian 12 and its kin. Elsewhere, install what scripts/packages.txt and \
python/requirements-test.txt name, then run scripts/build.sh."
install_packages
install_python
