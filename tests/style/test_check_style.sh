#!/bin/sh
# Does check_style.sh see what it must see, and blame nothing else?  usage: test_check_style.sh checker
checker=$1
root=$(mktemp -d) || exit 1
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/include" "$root/src/base" "$root/backends" "$root/tests"
failed=0

# expect 0|1 'text of a file': it passes (0) or not (1)
expect() {
    printf '%b\n' "$2" >"$root/src/base/a.c"
    got=0
    sh "$checker" "$root" >"$root/out" || got=1
    if [ "$got" -ne "$1" ]; then
        printf 'expected %s, got %s: %s\n' "$1" "$got" "$2"
        cat "$root/out"
        failed=1
    fi
}

# lines N: so many empty statements
lines() {
    awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++) printf "    ;\\n" }'
}

f='int f(const char *p, bool ok, int *q)\n{\n'
expect 0 "$f    return p == NULL || !ok || !*q || !q[1] || !p->x || sizeof(*p) > 1;\n}"
expect 0 "$f    call(\"!p and sizeof p\"); /* !p, sizeof p */\n}"
expect 0 "$f}\nint g(int p)\n{\n    return !p;\n}"
expect 1 "$f    return !p;\n}"
expect 1 "$f    char *text = q;\n    if (!text && ok)\n        return 1;\n}"
expect 1 "$f    return sizeof *p;\n}"
expect 1 "$f\tint tab;\n}"
expect 0 '/* ---- a banner ---- */'
expect 1 '/* ---- a banner over two lines\n * ---- */'
expect 0 "$f$(lines 57)}"
expect 1 "$f$(lines 58)}"
expect 0 "$f}\n$(lines 396)"
expect 1 "$f}\n$(lines 397)"
exit $failed
