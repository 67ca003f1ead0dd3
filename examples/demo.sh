#!/bin/sh
# The main job on the two example models: `make demo`. Everything it writes goes to demo-out/, which it clears first.
set -eu
cd "$(dirname "$0")/.."
rm -rf demo-out
mkdir demo-out

show() {
    printf '\n$ %s\n' "$*"
    "$@"
}
expect() { # expect CODE COMMAND…: the command must end with this exit code
    wanted="$1"; shift
    code=0
    printf '\n$ %s\n' "$*"
    "$@" || code=$?
    if [ "$code" -ne "$wanted" ]; then
        echo "demo: expected exit code $wanted, got $code" >&2
        exit 1
    fi
    printf '(exit code %s)\n' "$code"
}

show modelsign keys generate -o demo-out --no-passphrase
show modelsign release examples/tiny-lm -o demo-out/tiny-lm --key demo-out/modelsign.key
show modelsign verify demo-out/tiny-lm --key demo-out/modelsign.pub --policy examples/policy.toml
expect 1 modelsign release examples/tiny-lm-hostile -o demo-out/tiny-lm-hostile --key demo-out/modelsign.key
