#!/bin/sh
# exports.sh PLUGIN.so... - every plugin exports lhost_plugin and nothing else.
status=0
for plugin; do
    symbols=$(nm -D --defined-only "$plugin" | awk '{ print $3 }')
    if [ "$symbols" != lhost_plugin ]; then
        echo "FAILED: $plugin exports: $symbols" >&2
        status=1
    fi
done
exit $status
