# The part of nixpkgs' lib that our flake uses, with the same meaning.
rec {
  genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalString = condition: text: if condition then text else "";
  optionalAttrs = condition: attrs: if condition then attrs else { };
  concatStringsSep = builtins.concatStringsSep;
  fix = f: let self = f self; in self;
  literalExpression = text: { _type = "literalExpression"; inherit text; };
  licenses = genAttrs [ "asl20" ] (name: { spdxId = name; });
  platforms.linux = [ "x86_64-linux" "aarch64-linux" ];

  # As the real one, it refuses a path that is absent, and copies only what is named.
  fileset = {
    unions = paths: map (path: if builtins.pathExists path then path else throw "fileset: ${toString path} is absent") paths;
    toSource = { root, fileset }:
      let
        wanted = map toString fileset;
        isPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;
      in
      builtins.path {
        path = root;
        name = "source";
        filter = path: type: builtins.any (w: path == w || isPrefix "${w}/" path || (type == "directory" && isPrefix "${path}/" w)) wanted;
      };
  };

  # Enough of the module system to evaluate one module with given options.
  types = genAttrs [ "package" "path" "bool" "str" ] (name: name) // { nullOr = t: "null or ${t}"; listOf = t: "list of ${t}"; };
  mkOption = option: option;
  mkEnableOption = text: { type = "bool"; default = false; description = text; };
  mkIf = condition: content: if condition then content else { };
}
