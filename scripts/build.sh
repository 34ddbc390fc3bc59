#!/usr/bin/env bash
# Builds what is older than its sources: the BPF objects, then dist/ from src/.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
PATH=$PWD/node_modules/.bin:$PATH

for tool in make tsc; do
  command -v "$tool" >/dev/null || {
    echo "build: $tool is missing: run npm run setup" >&2
    exit 69
  }
done

mkdir -p build
exec 9>build/build.lock
flock 9

make --no-print-directory -s -C bpf

# A folder beside dist/ that takes its place at the end: a collector started meanwhile sees either
# all of the old files or all of the new ones, and no file stays whose source is gone.
stamp=dist/.built
if [ ! -e "$stamp" ] || [ -n "$(find src tsconfig.json package-lock.json -newer "$stamp" -print -quit)" ]; then
  rm -rf dist.new
  # Made first: a source that changes while tsc runs is newer.
  touch build/begun
  tsc -p tsconfig.json --outDir dist.new
  # Read at run time, beside the file that asks for them; tsc takes no other files along.
  (cd src && find . -name '*.proto' -exec cp --parents -t ../dist.new {} +)
  mv build/begun dist.new/.built
  rm -rf dist
  mv dist.new dist
fi
