{
  description = "NixOS disk images: a fast and reproducible replacement for nixpkgs' make-disk-image";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];

      # The only system that User-Mode Linux exists for.
      umlSystem = "x86_64-linux";

      # An attribute for each system, made from the packages of that system.
      eachSystem = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

      systemOf = pkgs: pkgs.stdenv.buildPlatform.system;

      packageFor = pkgs: self.packages.${systemOf pkgs}.make-disk-image;

      # The program and the guest's kernel, built from the nixpkgs that this flake is tested with, if the
      # flake has them for the build system. Otherwise, the function builds them from the caller's nixpkgs.
      packageArguments =
        pkgs:
        lib.optionalAttrs (lib.elem (systemOf pkgs) systems) { package = packageFor pkgs; }
        // lib.optionalAttrs (systemOf pkgs == umlSystem) {
          umlKernel = self.packages.${umlSystem}.uml-kernel;
        };

      # nix/checks/<name>.nix becomes the check <name>.
      checkNames = map (lib.removeSuffix ".nix") (builtins.attrNames (builtins.readDir ./nix/checks));
    in
    {
      lib.makeDiskImage =
        args: import ./nix/make-disk-image.nix (packageArguments args.pkgs // args);

      nixosModules.default =
        { pkgs, ... }:
        {
          imports = [ ./nix/module.nix ];
          image.extraArguments = lib.mapAttrs (_: lib.mkDefault) (packageArguments pkgs);
        };

      packages = eachSystem (
        pkgs:
        {
          default = packageFor pkgs;
          make-disk-image = pkgs.callPackage ./nix/package.nix { };
          image =
            (lib.nixosSystem {
              modules = [
                self.nixosModules.default
                ./nix/example.nix
                { nixpkgs.hostPlatform = systemOf pkgs; }
              ];
            }).config.system.build.image;
        }
        // lib.optionalAttrs (systemOf pkgs == umlSystem) {
          uml-kernel = pkgs.callPackage ./nix/uml-kernel.nix { };
        }
      );

      checks = eachSystem (
        pkgs:
        lib.genAttrs checkNames (
          name:
          import (./nix/checks + "/${name}.nix") {
            inherit pkgs lib nixpkgs;
            inherit (self.lib) makeDiskImage;
            packages = self.packages.${systemOf pkgs};
          }
        )
      );

      hydraJobs = {
        inherit (self) packages;
        # `nix flake check` evaluates these for every system, and nixpkgs' tests need 9 GB of memory for each.
        checks = lib.mapAttrs (_: checks: removeAttrs checks [ "nixpkgs-tests" ]) self.checks;
      };

      devShells = eachSystem (pkgs: {
        default = pkgs.callPackage ./nix/shell.nix { make-disk-image = packageFor pkgs; };
      });

      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
