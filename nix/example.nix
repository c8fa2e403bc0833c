# A small NixOS that boots and prints a line on the serial console: `nix build .#image`. To be used
# together with module.nix.
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

  # Access to the console is access to the machine.
  services.getty.autologinUser = "root";

  systemd.services.hello = {
    description = "Print on the console that the system is up";
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
