#!/usr/bin/env python3
"""freeze.py - the record of a released contract: its headers and the layout they give.

    tests/abi/freeze.py           write v1_0/lhost/*.h and layout.c from sdk/include
    tests/abi/freeze.py --check   fail if the contract is no longer what was written

Run it after every change until 1.0 is released, and never again for 1.0 after that: a new minor
gets a folder of its own. Comments do not count.
"""
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SDK = os.path.join(HERE, '..', '..', 'sdk', 'include')
FROZEN = os.path.join(HERE, 'v1_0')
HEADERS = ['types.h', 'host.h', 'abi.h', 'ops.h']
INCLUDES = ''.join(f'#include <lhost/{h}>\n' for h in HEADERS)
CC = os.environ.get('CC', 'cc').split()


def sources(include):
    """The headers without comments."""
    text = ''.join(open(os.path.join(include, 'lhost', h)).read() for h in HEADERS)
    return re.sub(r'/\*.*?\*/', '', text, flags=re.S)


def constants(text):
    return re.findall(r'\b(LH_[A-Z0-9_]+)\s*=\s*(-?\d+)\b', text)


def structs(text):
    """(struct, its last member) of each struct that is laid out in the headers."""
    for name, body in re.findall(r'struct (\w+) \{\n(.*?)\n\}', text, flags=re.S):
        last = [m for m in body.split(';') if m.strip()][-1]
        pointer = re.search(r'\(\*(\w+)\)', last)
        yield name, pointer.group(1) if pointer else re.search(r'(\w+)(\[\w+\])?$', last).group(1)


def layout():
    """layout.c, its numbers measured by the compiler."""
    rows = list(structs(sources(SDK)))
    program = INCLUDES + '#include <stdio.h>\nint main(void) {\n' + ''.join(
        f'printf("%zu %zu\\n", offsetof(struct {s}, {m}), sizeof(struct {s}));\n'
        for s, m in rows) + '}\n'
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, 'measure')
        subprocess.run([*CC, '-std=c11', '-I', SDK, '-x', 'c', '-', '-o', binary], input=program,
                       text=True, check=True)
        numbers = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
    out = ['/* layout.c - the contract of 1.0 in numbers; written by freeze.py. A host or header',
           ' * that moves a member or renumbers a constant does not compile.',
           ' *',
           ' * Members may be appended: the last one of 1.0 stays where it is and sizes only grow.',
           ' */', '// clang-format off', INCLUDES]
    for (s, m), line in zip(rows, numbers.splitlines()):
        offset, size = line.split()
        out.append(f'_Static_assert(offsetof(struct {s}, {m}) == {offset}, "{s}.{m} moved");')
        out.append(f'_Static_assert(sizeof(struct {s}) >= {size}, "{s} shrank");')
    out += ['', '_Static_assert(LH_ABI_MAJOR == 1 && LH_ABI_MINOR == 0, '
            '"a new minor: give it a folder and a layout of its own");']
    out += [f'_Static_assert({name} == {value}, "{name} changed");'
            for name, value in constants(sources(SDK))]
    return '\n'.join(out) + '\n\nint main(void) {\n    return 0;\n}\n'


def main():
    if sys.argv[1:] == ['--check']:
        was, now = sources(FROZEN).split(), sources(SDK).split()
        diff = list(difflib.unified_diff(was, now, 'frozen', 'sdk', lineterm='', n=4))
        print('\n'.join(diff))
        return 1 if diff else 0
    os.makedirs(os.path.join(FROZEN, 'lhost'), exist_ok=True)
    for h in HEADERS:
        shutil.copy(os.path.join(SDK, 'lhost', h), os.path.join(FROZEN, 'lhost', h))
    with open(os.path.join(HERE, 'layout.c'), 'w') as f:
        f.write(layout())
    return 0


if __name__ == '__main__':
    sys.exit(main())
