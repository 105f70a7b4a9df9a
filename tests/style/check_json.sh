#!/bin/sh
# JSON is made, printed and read by src/base alone (mdl_json_*), which loses no failed allocation.
# usage: check_json.sh source-root
cd "$1" || exit 1
calls='pack|pack_ex|vpack_ex|object|array|string|stringn|integer|real|object_set[a-z_]*'
calls="$calls|object_update[a-z_]*|array_append[a-z_]*|array_set[a-z_]*|array_insert[a-z_]*"
calls="$calls|array_extend|sprintf|vsprintf|copy|deep_copy|dump[a-z_]*|dumps|load[a-z_]*|loads|loadb"
found=$(find src backends -name '*.[ch]' ! -path 'src/base/*' |
    xargs grep -nE "(^|[^a-z_])json_($calls)\(")
[ -z "$found" ] && exit 0
printf 'use mdl_json_* of base/base.h:\n%s\n' "$found"
exit 1
