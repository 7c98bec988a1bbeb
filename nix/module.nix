# services.kled-agent: the agent of an edge device as a systemd unit.
self: { config, lib, pkgs, ... }:

let
  cfg = config.services.kled-agent;
in
{
  options.services.kled-agent = {
    enable = lib.mkEnableOption "the agent of kled on this device";

    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.kled-agent;
      defaultText = lib.literalExpression "kled.packages.\${system}.kled-agent";
      description = "The package that provides `kled-agent`.";
    };

    tokenFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = ''
        File with the one-time token of `kled edge token create`, read once: the device enrols at the
        first start and keeps its certificate in `/var/lib/kled-agent`. Keep it out of the Nix store.
      '';
    };

    processRuntime = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether workloads may run as plain processes of this device.";
    };

    extraFlags = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      description = "More flags for `kled-agent run`.";
    };
  };

  config = lib.mkIf cfg.enable {
    systemd.services.kled-agent = {
      description = "Agent of kled";
      wantedBy = [ "multi-user.target" ];
      # Not network-online.target: an agent that starts offline runs what it last had.
      after = [ "network.target" ];
      serviceConfig = {
        ExecStart = lib.concatStringsSep " " ([ "${cfg.package}/bin/kled-agent run --state /var/lib/kled-agent" ]
          ++ lib.optional cfg.processRuntime "--enable-process-runtime"
          ++ cfg.extraFlags);
        ExecStartPre = lib.optional (cfg.tokenFile != null)
          "${cfg.package}/bin/kled-agent join --if-needed --state /var/lib/kled-agent --token-file %d/token";
        LoadCredential = lib.optional (cfg.tokenFile != null) "token:${toString cfg.tokenFile}";
        StateDirectory = "kled-agent";
        StateDirectoryMode = "0700";
        Restart = "always";
        RestartSec = 2;
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        Delegate = true;
        # The workloads outlive a restart of the agent, which takes them over again.
        KillMode = "process";
      };
    };
  };
}
