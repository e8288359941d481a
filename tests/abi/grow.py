#!/usr/bin/env python3
"""grow.py SOURCE_ROOT OUTPUT STAMP - the contract as its next minor would be, for the matrix: one
more host function (lh_tomorrow), one more hook of modules (on_tomorrow), and the host's row for it.
Writes OUTPUT/lhost/*.h and OUTPUT/plugin/hooks.h; fails if the headers no longer have the marks."""
import os
import re
import sys

root, output, stamp = sys.argv[1:]


def grow(source, target, *edits):
    text = open(os.path.join(root, source)).read()
    for pattern, replacement in edits:
        text, n = re.subn(pattern, replacement, text, count=1, flags=re.S)
        if n != 1:
            sys.exit(f'{source}: no place for {replacement!r}')
    path = os.path.join(output, target)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if not os.path.exists(path) or open(path).read() != text:  # or all is built again
        open(path, 'w').write(text)


sdk = 'sdk/include/lhost/'
types = open(os.path.join(root, sdk, 'types.h')).read()
minor = int(re.search(r'#define LH_ABI_MINOR (\d+)', types).group(1)) + 1

grow(sdk + 'types.h', 'lhost/types.h', (r'(#define LH_ABI_MINOR) \d+', rf'\1 {minor}'))
grow(sdk + 'host.h', 'lhost/host.h',
     (r'(\n    /\* 1\.\d+ ends here)', r'\n    double (*tomorrow)(lh_ctx *c);\1'),
     (r'(\nLH_EXTERN_C_END)', rf'''
#if LH_TARGET_MINOR >= {minor}
static inline double lh_tomorrow(lh_ctx *c) {{
    return c->host->tomorrow(c);
}}
#endif
\1'''))
grow(sdk + 'abi.h', 'lhost/abi.h',
     (r'(\n    /\* 1\.\d+ ends here[^\n]*\n\} lh_module;)', r'\n    lh_hook *on_tomorrow;\1'))
grow('host/plugin/hooks.h', 'plugin/hooks.h',
     (r'(X\(get_progress_bar_dict, PLAIN, 1, 0, 0\))', r'\1 X(on_tomorrow, PLAIN, 1, 0, 0)'))
open(stamp, 'w').close()
