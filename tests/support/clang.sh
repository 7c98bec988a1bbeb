# The tools of LLVM 19, by the name they have here: Debian's carry the version, those of `nix develop` do not.
# Sourced by ./dev and tests/fuzz/run.sh.

clang_tool() { # clang_tool NAME : clang, clang++, clang-format or clang-tidy
    command -v "$1-19" || command -v "$1" || { echo "no $1 of LLVM 19 here: ./dev setup installs it" >&2; return 1; }
}

fuzz_preset() { # configures build/fuzz
    cmake --preset fuzz -D CMAKE_C_COMPILER="$(clang_tool clang)" -D CMAKE_CXX_COMPILER="$(clang_tool clang++)"
}
