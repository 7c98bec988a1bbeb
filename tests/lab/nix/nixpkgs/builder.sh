# The stand-in's stdenv: the phases of a CMake package in nixpkgs' order.
set -eu
export PATH=/usr/local/bin:/usr/bin:/bin HOME=$TMPDIR LANG=C.UTF-8
if [ -z "$src" ]; then mkdir -p "$out"; exit 0; fi # a shell has nothing to build
cp -r "$src" source
chmod -R u+w source
cd source
# As the presets compile, and as deep below the sources: what a preset has compiled is not compiled again.
launcher=()
if [ -n "$KLED_NIX_CCACHE" ] && command -v ccache >/dev/null; then
    export CCACHE_DIR=$KLED_NIX_CCACHE CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
    launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
# shellcheck disable=SC2086  # flags are words
cmake -G Ninja -B build/nix $cmakeFlags "${launcher[@]}" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$out" \
    -DBUILD_TESTING="$([ -n "$doCheck" ] && echo ON || echo OFF)" \
    ${cross:+-DCMAKE_TOOLCHAIN_FILE=$PWD/cmake/aarch64-linux-gnu.cmake -DKLED_SYSROOT=$KLED_NIX_SYSROOT}
cd build/nix
# shellcheck disable=SC2086  # flags are words
ninja -j "${NIX_BUILD_CORES:-2}" $ninjaFlags
[ -z "$doCheck" ] || eval "$checkPhase"
eval "$installPhase"
