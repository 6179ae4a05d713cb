#!/usr/bin/env bash
# Builds lw-guest.wasm from QuickJS-ng (in the registry package rquickjs-sys) and the C files of this folder.
#   build.sh           build, replace lw-guest.wasm and guest.lock.json
#   build.sh --check   build elsewhere and compare bytes and inputs with what is committed
# Needs on Debian: clang-22 lld-22 wasi-libc libclang-rt-22-dev-wasm32, and cargo to fetch the package.
# Reproducible: same packages, same bytes, whatever the folder, the user or the locale.
set -euo pipefail
export LC_ALL=C TZ=UTC

package=rquickjs-sys version=0.14.0
compiler=clang-22 linker=wasm-ld-22

flags=(--target=wasm32-wasip1 -nostdlibinc -isystem /usr/include/wasm32-wasi -O2 -std=gnu11
  -fno-strict-aliasing -fwrapv -mbulk-memory -msign-ext -mnontrapping-fptoint -mmutable-globals
  -D_GNU_SOURCE -DEMSCRIPTEN -DNDEBUG -DFE_DOWNWARD=0 -DFE_UPWARD=0 -Wno-everything)
link_flags=(--no-entry --gc-sections --stack-first -z stack-size=1048576 --strip-all)
packages=(clang-22 lld-22 wasi-libc libclang-rt-22-dev-wasm32)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "build.sh: $*" >&2; exit 1; }
for tool in "$compiler" "$linker" cargo patch sha256sum; do
  command -v "$tool" >/dev/null || fail "\`$tool\` is missing (apt-get install ${packages[*]} patch)"
done
digest() { sha256sum "$1" | cut -d' ' -f1; }

# The QuickJS sources, by cargo, which checks the package against the registry's checksum.
mkdir -p "$work/fetch/src"
printf '[package]\nname = "fetch"\nversion = "0.0.0"\n[workspace]\n[dependencies]\n%s = "=%s"\n' \
  "$package" "$version" >"$work/fetch/Cargo.toml"
: >"$work/fetch/src/lib.rs"
(cd "$work/fetch" && { cargo fetch --quiet --offline 2>/dev/null || cargo fetch --quiet; }) || fail "cannot fetch $package"
checksum=$(grep -A3 "name = \"$package\"" "$work/fetch/Cargo.lock" | sed -n 's/^checksum = "\(.*\)"$/\1/p')
origin=$(cd "$work/fetch" && cargo metadata --offline --format-version 1 |
  grep -o "\"manifest_path\":\"[^\"]*/$package-$version/Cargo.toml\"" | cut -d'"' -f4)
[ -d "$(dirname "$origin")/quickjs" ] || fail "no QuickJS sources in $package $version"

mkdir "$work/quickjs"
cp "$(dirname "$origin")"/quickjs/*.[ch] "$work/quickjs/"
inputs=$(cd "$work" && for file in quickjs/{quickjs,libregexp,libunicode,dtoa}.c quickjs/{cutils,dtoa,libregexp,libregexp-opcode,libunicode,libunicode-table,list,quickjs,quickjs-atom,quickjs-c-atomics,quickjs-opcode,builtin-array-fromasync,builtin-iterator-zip,builtin-iterator-zip-keyed}.h; do
  echo "$(digest "$file") $file"
done)
own=$(cd "$here" && for file in *.c pre.h quickjs.patch; do echo "$(digest "$file") $file"; done)
patch --quiet --strip=1 --fuzz=0 --directory="$work/quickjs" <"$here/quickjs.patch" || fail "quickjs.patch does not apply"
cp "$here"/*.c "$here/pre.h" "$work/"

cd "$work"
jobs=()
for file in guest.c libc-shim.c quickjs/libregexp.c quickjs/libunicode.c quickjs/dtoa.c; do
  "$compiler" "${flags[@]}" -ffile-prefix-map="$work=." -include pre.h -Iquickjs -c "$file" \
    -o "$(basename "$file" .c).o" &
  jobs+=($!)
done
for job in "${jobs[@]}"; do wait "$job" || fail "a file does not compile"; done
builtins=$("$compiler" --target=wasm32-wasip1 -print-resource-dir)/lib/wasi/libclang_rt.builtins-wasm32.a
"$linker" "${link_flags[@]}" -o lw-guest.wasm guest.o libc-shim.o libregexp.o libunicode.o dtoa.o \
  /usr/lib/wasm32-wasi/libc.a "$builtins"

list() { # lines of "hash name" as JSON members
  local first=1
  while read -r hash name; do
    [ $first = 1 ] || printf ',\n'
    first=0
    printf '    "%s": "%s"' "$name" "$hash"
  done
  printf '\n'
}
quoted() { printf '"%s", ' "$@" | sed 's/, $//'; }
write_lock() {
  cat <<END
{
  "artefact": "$(digest lw-guest.wasm)",
  "package": { "name": "$package", "version": "$version", "checksum": "$checksum" },
  "quickjs": {
$(list <<<"$inputs")
  },
  "sources": {
$(list <<<"$own")
  },
  "debian": {
$(for name in "${packages[@]}"; do echo "$(dpkg-query -W -f '${Version}' "$name") $name"; done | list)
  },
  "compiler_flags": [$(quoted "${flags[@]}")],
  "linker_flags": [$(quoted "${link_flags[@]}")]
}
END
}
write_lock >guest.lock.json

if [ "${1-}" != --check ]; then
  cp lw-guest.wasm guest.lock.json "$here/"
  echo "lw-guest.wasm: $(stat -c %s lw-guest.wasm) bytes, sha256 $(digest lw-guest.wasm)"
elif cmp --silent lw-guest.wasm "$here/lw-guest.wasm" && cmp --silent guest.lock.json "$here/guest.lock.json"; then
  echo "lw-guest.wasm: the rebuild gives the same bytes"
else
  diff -u "$here/guest.lock.json" guest.lock.json || true
  if diff -q <(sed -n '/"debian"/,/}/p' "$here/guest.lock.json") <(sed -n '/"debian"/,/}/p' guest.lock.json) >/dev/null; then
    fail "the rebuild differs although the packages are the same: run build.sh and commit"
  fi
  echo "build.sh: Debian's packages moved on since the lock was written (see above)" >&2
  echo "build.sh: run build.sh, run the tests against the new file, and commit both" >&2
  exit 3
fi
