#!/bin/sh
# Compiles the test objects; run after a change, and commit what comes out.
set -eu
cd "$(dirname "$0")"
for name in percpu relocations; do
	clang-19 -target bpfel -mcpu=v3 -O2 -g -fdebug-compilation-dir=. -Wno-unused-function -c "$name.c" -o "$name.o"
	llvm-strip-19 -g "$name.o"
done
