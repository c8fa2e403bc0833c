{
  lib,
  stdenv,
  rustPlatform,
  glibc,
}:

let
  root = ../.;
  manifest = lib.importTOML ../Cargo.toml;
in

rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.package) version;

  # Without .cargo: nixpkgs' hooks write a .cargo/config.toml of their own, and its
  # "-crt-static" for the same target would be merged with ours in no order one can rely on.
  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../clippy.toml
      ../src
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;

  # The program is /init in a guest without shared libraries. A variable outranks every
  # configuration file, and cargo's hooks give --target, so that procedural macros, which must be
  # shared objects, are built without it.
  env.RUSTFLAGS = "-C target-feature=+crt-static";
  buildInputs = lib.optionals stdenv.hostPlatform.isGnu [ glibc.static ];

  # Benchmarks and the tests of the whole program (in tests/) are not in the source: they make
  # stores, images and virtual machines, and `make test` runs them. Unit tests stay out because the
  # sandbox refuses what many of them are about: extended attributes and set-user-ID bits.
  cargoBuildFlags = [ "--bin=make-disk-image" ];
  doCheck = false;

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/make-disk-image --version
    if readelf --program-headers --wide $out/bin/make-disk-image | grep INTERP; then
      echo "make-disk-image asks for a dynamic loader; it must be linked statically" >&2
      exit 1
    fi
    runHook postInstallCheck
  '';

  meta = {
    inherit (manifest.package) description;
    license = lib.licenses.mit;
    mainProgram = "make-disk-image";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
}
