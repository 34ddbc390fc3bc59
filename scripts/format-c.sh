#!/usr/bin/env bash
# Formats the C sources (--write), or tells which ones differ (--check); skips without clang-format.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

clang_format=
for name in clang-format-19 clang-format; do
  if command -v "$name" >/dev/null; then
    clang_format=$name
    break
  fi
done
if [ -z "$clang_format" ]; then
  echo 'format: skipped the C sources, clang-format-19 is not installed'
  exit 0
fi
mapfile -d '' files < <(find bpf test -path '*/build' -prune -o -name '*.[ch]' -print0)
case ${1:-} in
  --write) "$clang_format" -i "${files[@]}" ;;
  --check) "$clang_format" --dry-run --Werror "${files[@]}" ;;
  *)
    echo "usage: $0 --write | --check" >&2
    exit 64
    ;;
esac
