{
  description = "A stand-in for nixpkgs: the names a flake may use, and a stdenv that runs this machine's compilers";
  outputs = { self }: { lib = import ./lib.nix; };
}
