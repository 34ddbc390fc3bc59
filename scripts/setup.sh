#!/usr/bin/env bash
# Makes a Debian machine ready to build, test and demonstrate fdspan: Debian packages, then npm's.
# With --for-tests, the container runtimes too that only tests use; with --for-build, only what a build needs.
# Idempotent, and quick when nothing is missing. Looks for commands and files, not for package
# names, so that a podman or runc from elsewhere is left as it is.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  say "$1"
  exit 69
}

[ "$(uname -s)" = Linux ] || fail 'fdspan runs on Linux only'

has() { command -v "$1" >/dev/null 2>&1; }
PATH=$PATH:/usr/sbin:/sbin

mode=${1-}

# The oldest clang that is known to compile bpf/ to something the verifier takes.
clang_oldest=19

has_clang() {
  local version
  for version in 23 22 21 20 19; do
    has "clang-$version" && return 0
  done
  has clang || return 1
  version=$(clang -dumpversion)
  [ "${version%%.*}" -ge "$clang_oldest" ]
}

has_library() { compgen -G "/usr/lib/*/$1" >/dev/null || compgen -G "/usr/lib*/$1" >/dev/null; }

missing_for_build() {
  has_clang || echo clang
  has llvm-strip || compgen -G '/usr/bin/llvm-strip-*' >/dev/null || echo llvm
  has make || echo make
  has gcc || echo gcc
  [ -e /usr/include/stdio.h ] || echo libc6-dev
  has_library 'libbpf.so.1' || echo libbpf1
  [ -e /usr/include/bpf/bpf_helpers.h ] || echo libbpf-dev
}

missing_packages() {
  missing_for_build
  [ "$mode" != --for-build ] || return 0
  has podman || echo podman
  has runc || echo runc
  has crun || echo crun
  has conmon || [ -x /usr/libexec/podman/conmon ] || [ -x /usr/lib/podman/conmon ] || echo conmon
  { has busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1; } || echo busybox-static
  has openssl || echo openssl
  [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
}

# Runtimes that only tests start, asked for by --for-tests: on a machine with systemd their packages start
# daemons, which nobody expects of a demonstration. Tests skip what isn't there.
missing_runtimes() {
  has dockerd || echo docker.io
  # A package of its own from Debian 13 on.
  has docker || { apt-cache show docker-cli >/dev/null 2>&1 && echo docker-cli || echo docker.io; }
  { has containerd && has ctr; } || echo containerd
  has runsc || echo runsc
  has lxc-start || echo lxc
  # Tests boot a systemd too; the package brings it along where the machine has none.
  has systemd-nspawn || echo systemd-container
  has dbus-daemon || echo dbus-daemon
}

# Debian 12's own clang is 14; the numbered packages beside it are newer.
clang_package() {
  local version
  for version in 22 21 20 19; do
    if apt-cache show "clang-$version" >/dev/null 2>&1; then
      echo "clang-$version"
      return
    fi
  done
  echo clang
}

install_packages() {
  local -a packages
  has apt-get || fail "missing: $*. This machine has no apt-get: install them with its own package manager, then run npm run setup again"
  if [ "$(id -u)" -ne 0 ]; then
    local names=$*
    fail "missing: $names. Run as root: apt-get update && apt-get install -y --no-install-recommends ${names/#clang/clang-19}"
  fi
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq </dev/null || say 'apt-get update failed; trying with the lists that are here'
  local name
  for name in "$@"; do
    if [ "$name" = clang ]; then name=$(clang_package); fi
    packages+=("$name")
  done
  apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >&2 ||
    fail "apt-get could not install: ${packages[*]}. Install them by hand, then run npm run setup again"
}

# npm writes node_modules/.package-lock.json last, so its age is the age of a complete install.
install_node_modules() {
  local folder=$1
  local done_mark=$folder/node_modules/.package-lock.json
  [ -e "$done_mark" ] && ! [ "$folder/package-lock.json" -nt "$done_mark" ] && return
  has npm || fail 'npm is missing. Install it with: apt-get install -y npm'
  say "npm ci in $folder"
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error </dev/null >&2) ||
    fail "npm ci in $folder failed (the messages above say why): is the package registry reachable?"
  touch "$done_mark"
}

# The package `node` puts its binary in place by an install script, which npm may be told to skip.
ensure_node() {
  [ -x node_modules/.bin/node ] && return
  say 'running the installer of the npm package node'
  local bootstrap
  bootstrap=$(command -v node || command -v nodejs) ||
    fail 'no node to start the installer with. Install one of any version: apt-get install -y nodejs'
  (cd node_modules/node && "$bootstrap" installArchSpecificPackage.js </dev/null >&2) || true
  # npm makes no link for a binary that wasn't there when it looked.
  ln -sfn ../node/bin/node node_modules/.bin/node
  [ -x node_modules/.bin/node ] ||
    fail 'node_modules/.bin/node is missing: run npm rebuild node --allow-scripts=node, then npm run setup again'
}

# Two at once, say a demo beside a test run, would install over each other.
mkdir -p build
exec 9>build/setup.lock
flock 9

mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" -gt 0 ]; then
  install_packages "${missing[@]}"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -eq 0 ] || fail "still missing after the installation: ${missing[*]}"
fi
if [ "$mode" = --for-tests ]; then
  mapfile -t missing < <(missing_runtimes)
  if [ "${#missing[@]}" -gt 0 ]; then
    (install_packages "${missing[@]}") || say "going on without them: ${missing[*]}"
  fi
fi
install_node_modules .
ensure_node
[ "$mode" = --for-build ] || install_node_modules scripts/viewer
say 'ready'
