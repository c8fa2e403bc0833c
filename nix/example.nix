# A small NixOS that boots and says so on the serial console: `nix build .#image`. It goes with
# module.nix.
{ lib, modulesPath, ... }:

{
  imports = [
    (modulesPath + "/profiles/minimal.nix")
    (modulesPath + "/profiles/qemu-guest.nix")
  ];

  image.baseName = "nixos";
  image.extraArguments = {
    additionalSpace = "256M";
    copyChannel = false;
  };

  boot.kernelParams = [ "console=ttyS0" ];
  boot.loader.timeout = 1;

  # Who has the console has the machine.
  services.getty.autologinUser = "root";

  systemd.services.hello = {
    description = "Say on the console that the system is up";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      StandardOutput = "journal+console";
    };
    script = ''
      echo "make-disk-image: the example is up"
    '';
  };

  nix.channel.enable = false;
  networking.hostName = "example";
  system.stateVersion = lib.trivial.release;
}
