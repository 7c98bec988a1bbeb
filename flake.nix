{
  description = "kled: from a Git repository to workloads in clusters and on edge devices";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [ "x86_64-linux" "aarch64-linux" ];
      pkgsFor = system: import nixpkgs { inherit system; overlays = [ self.overlays.default ]; };
      forAll = f: lib.genAttrs systems (system: f (pkgsFor system));
      # What the Jetsons and the Pis get, built on a developer's machine.
      crossed = pkgs: lib.optionalAttrs (pkgs.stdenv.hostPlatform.system == "x86_64-linux") {
        kled-aarch64 = pkgs.pkgsCross.aarch64-multiplatform.kled;
        kled-agent-aarch64 = pkgs.pkgsCross.aarch64-multiplatform.kled-agent;
      };
    in
    {
      overlays.default = final: prev: {
        kled = final.callPackage ./nix/package.nix { };
        kled-agent = final.callPackage ./nix/package.nix { agentOnly = true; };
      };

      packages = forAll (pkgs: {
        default = pkgs.kled;
        inherit (pkgs) kled kled-agent;
      } // crossed pkgs);

      checks = forAll (pkgs: { inherit (pkgs) kled kled-agent; });

      devShells = forAll (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ pkgs.kled ];
          packages = with pkgs; [
            age ansible ccache curl distribution gdb git gtest kubectl kustomize llvmPackages_19.clang llvmPackages_19.clang-tools mosquitto
            nginx openssh openssl python3 sqlite
          ];
          # KLED_SHELL tells ./dev that nothing is to be installed. clang is here for fuzzing alone: its wrapper would be CC.
          shellHook = "export KLED_SHELL=1 CC=gcc CXX=g++";
        };
      });

      apps = forAll (pkgs: {
        demo = {
          type = "app";
          program = "${pkgs.writeShellScript "kled-demo" ''
            export KLED_SHELL=1
            exec ./dev demo "$@"
          ''}";
        };
      });

      nixosModules.kled-agent = import ./nix/module.nix self;
    };
}
