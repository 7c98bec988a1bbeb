#!/usr/bin/env bash
# Makes this x86-64 Debian 12 build and run arm64 programs: cross compiler, emulator, binfmt, and a
# sysroot of Debian's arm64 libraries in $KLED_SYSROOT (default ~/.cache/kled/sysroot-arm64).
set -euo pipefail
sysroot=${KLED_SYSROOT:-$HOME/.cache/kled/sysroot-arm64}
libraries=libc6-dev,libstdc++6,libgcc-s1,libboost1.81-dev,libboost-json1.81-dev,libcli11-dev,libgit2-dev,libgmock-dev,libgtest-dev,libmosquitto-dev,libre2-dev,librnp-dev,libsqlite3-dev,libssl-dev,libxxhash-dev,libyaml-cpp-dev,libyaml-dev,libzstd-dev,zlib1g-dev

# Programs that the build starts run as if they were native. Without binfmt, a child of an emulated
# program fails to start and posix_spawn still reports success.
binfmt=/proc/sys/fs/binfmt_misc
if [ "$(id -u)" = 0 ]; then
    [ -e $binfmt/status ] || mount -t binfmt_misc none $binfmt
    [ -e $binfmt/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$binfmt/register
fi
[ -e "$sysroot/.complete" ] && exit 0

# Extracted, not installed: some of the amd64 and arm64 -dev packages cannot stand side by side.
rm -rf "$sysroot"
mkdir -p "$(dirname "$sysroot")"
mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1)
mmdebstrap --variant=extract --architectures=arm64 --components=main --include="$libraries" bookworm "$sysroot" ${mirror:+"$mirror"}
# An absolute link would lead out of the sysroot.
find "$sysroot" -type l -lname '/*' | while read -r link; do
    ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$sysroot$(readlink "$link")")" "$link"
done
touch "$sysroot/.complete"
