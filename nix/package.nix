{ lib
, stdenv
, boost
, cli11
, cmake
, git
, gnupg
, gtest
, libgit2
, libyaml
, mosquitto
, ninja
, openssh
, openssl
, pkg-config
, python3
, re2
, rnp
, sqlite
, xxHash
, yaml-cpp
, zlib
, zstd
  # A device gets the agent alone.
, agentOnly ? false
}:

stdenv.mkDerivation {
  pname = if agentOnly then "kled-agent" else "kled";
  version = "0.1.0";

  # Only what the build reads: a change in docs/ rebuilds nothing.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../CMakeLists.txt
      ../cmake
      ../base
      ../crypto
      ../net
      ../store
      ../kube
      ../kustomize
      ../apiserver
      ../gitops
      ../edge
      ../gateway
      ../cli
      ../manifests
      ../tests
      ../docs/dependencies.md # what programs may need, for the test of layers
    ];
  };

  strictDeps = true;
  nativeBuildInputs = [ cmake ninja pkg-config python3 ];
  buildInputs = [ boost cli11 libgit2 libyaml mosquitto openssl re2 rnp sqlite xxHash yaml-cpp zlib zstd ];
  checkInputs = [ gtest ];
  nativeCheckInputs = [ git gnupg openssh ];

  cmakeFlags = [ "-DKLED_PCH=ON" ]; # half the time
  ninjaFlags = lib.optionals agentOnly [ "kled-agent" ];
  doCheck = !agentOnly && stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  checkPhase = ''
    ctest --output-on-failure --label-regex unit
  '';
  installPhase = ''
    for program in ${if agentOnly then "kled-agent" else "kled kledd kled-agent"}; do
      install -D -m 755 "bin/$program" "$out/bin/$program"
    done
  '';

  meta = {
    description = "Edge-to-cloud orchestration: GitOps, an embedded Kubernetes API, and small agents for devices";
    license = lib.licenses.asl20;
    mainProgram = if agentOnly then "kled-agent" else "kled";
    platforms = lib.platforms.linux;
  };
}
