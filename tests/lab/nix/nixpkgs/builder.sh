# The stand-in's stdenv: the phases of a CMake package in nixpkgs' order.
set -eu
export PATH=/usr/local/bin:/usr/bin:/bin HOME=$TMPDIR LC_ALL=C.UTF-8
if [ -z "$src" ]; then mkdir -p "$out"; exit 0; fi # a shell has nothing to build
cp -r "$src" source
chmod -R u+w source
cd source
# shellcheck disable=SC2086  # flags are words
cmake -G Ninja -B build $cmakeFlags -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$out" \
    -DBUILD_TESTING="$([ -n "$doCheck" ] && echo ON || echo OFF)" \
    ${cross:+-DCMAKE_TOOLCHAIN_FILE=$PWD/cmake/aarch64-linux-gnu.cmake -DKLED_SYSROOT=$KLED_NIX_SYSROOT}
cd build
# shellcheck disable=SC2086  # flags are words
ninja -j "${NIX_BUILD_CORES:-2}" $ninjaFlags
[ -z "$doCheck" ] || eval "$checkPhase"
eval "$installPhase"
