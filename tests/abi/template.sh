#!/bin/sh
# template.sh INSPECT FLAGS - the templates build outside the tree with plain cc and make, and load.
# INSPECT: a program that inspects a plugin; FLAGS: what pkg-config would say.
set -e
template=$(cd "$(dirname "$0")/../../sdk/template" && pwd)
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cp -r "$template"/. "$folder"

for kind in model callback; do
    make -s -C "$folder/$kind" LHOST_FLAGS="$2"
    "$1" "$folder/$kind"/my_*.so
    nm -D --defined-only "$folder/$kind"/my_*.so | awk '$3 != "lhost_plugin" { exit 1 }'
done
