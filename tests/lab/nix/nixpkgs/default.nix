# `import nixpkgs { system; overlays; }`. A library is a name that must be in `names` (each exists in
# nixpkgs under it); mkDerivation really builds, with the compilers and -dev packages of this machine.
{ system, overlays ? [ ], crossTo ? null }:
let
  lib = import ./lib.nix;
  names = [
    "age" "ansible" "boost" "ccache" "cli11" "cmake" "curl" "distribution" "gdb" "git" "gnupg" "gtest" "kubectl" "kustomize"
    "libgit2" "libyaml" "mosquitto" "nginx" "ninja" "openssh" "openssl" "pkg-config" "python3" "re2" "rnp" "sqlite" "xxHash"
    "yaml-cpp" "zlib" "zstd"
  ];

  platform = name: { system = name; isAarch64 = name == "aarch64-linux"; };
  buildPlatform = platform system // { canExecute = other: other.system == system; };
  hostPlatform = platform (if crossTo == null then system else crossTo);

  # ":" keeps bash alive to the end: nix ends a builder whose output closes early.
  library = name: derivation { inherit name system; builder = "/bin/bash"; args = [ "-c" "/bin/mkdir $out; :" ]; };

  mkDerivation = attrs:
    let
      raw = derivation {
        inherit system;
        name = "${attrs.pname}${lib.optionalString (crossTo != null) "-aarch64-unknown-linux-gnu"}-${attrs.version}";
        builder = "/bin/bash";
        args = [ ./builder.sh ];
        src = attrs.src or "";
        inputs = map toString ((attrs.nativeBuildInputs or [ ]) ++ (attrs.buildInputs or [ ]) ++ (attrs.checkInputs or [ ]));
        cmakeFlags = attrs.cmakeFlags or [ ];
        ninjaFlags = attrs.ninjaFlags or [ ];
        doCheck = if attrs.doCheck or false then "1" else "";
        checkPhase = attrs.checkPhase or "";
        installPhase = attrs.installPhase or "";
        shellHook = attrs.shellHook or "";
        cross = lib.optionalString (crossTo != null) "1";
        # Read with --impure only; a builder does not see the environment.
        KLED_NIX_CCACHE = builtins.getEnv "KLED_NIX_CCACHE";
        KLED_NIX_SYSROOT = lib.optionalString (crossTo != null) (builtins.getEnv "KLED_NIX_SYSROOT");
      };
    in
    raw // { inherit (attrs) pname version; meta = attrs.meta or { }; };

  base = final: {
    inherit lib system;
    stdenv = { inherit mkDerivation buildPlatform hostPlatform; };
    callPackage = path: extra:
      let f = import path; in f (builtins.intersectAttrs (builtins.functionArgs f) final // extra);
    mkShell = { inputsFrom ? [ ], packages ? [ ], shellHook ? "" }:
      mkDerivation { pname = "shell"; version = "0"; nativeBuildInputs = packages; inherit shellHook; };
    writeShellScript = name: text: builtins.toFile name "#!/bin/bash\n${text}";
    llvmPackages_19 = lib.genAttrs [ "clang" "clang-tools" ] library;
    pkgsCross.aarch64-multiplatform = import ./. { inherit system overlays; crossTo = "aarch64-linux"; };
  } // lib.genAttrs names library;
in
lib.fix (final: builtins.foldl' (before: overlay: before // overlay final before) (base final) overlays)
