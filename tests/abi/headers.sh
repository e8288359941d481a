#!/bin/sh
# headers.sh COMPILER - every header alone, in C and C++, without a warning; the contract without
# padding. Exits with 77 (skipped) where the compiler is missing.
include=$(dirname "$0")/../../sdk/include
command -v "$1" > /dev/null || exit 77
status=0

# try STANDARD LANGUAGE HEADER [OPTION...]
try() {
    standard=$1 language=$2 header=$3
    shift 3
    echo "#include <lhost/$header>" |
        "$cc" -std="$standard" -x "$language" -fsyntax-only -I "$include" -Wall -Wextra \
            -Wpedantic -Werror "$@" - || {
        echo "FAILED: $header, $cc, $standard" >&2
        status=1
    }
}

cc=$1
for header in $(cd "$include/lhost" && find . -name '*.h' | sed 's,^\./,,' | sort); do
    for standard in c11 c17 c2x; do
        try $standard c "$header"
    done
    try c++17 c++ "$header"
done
for header in types.h host.h abi.h; do
    try c11 c $header -Wpadded
done
exit $status
