{
  lib,
  stdenv,
  rustPlatform,
  glibc,
  installShellFiles,
}:

let
  root = ../.;
  manifest = lib.importTOML ../Cargo.toml;
in

rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.package) version;

  # Without .cargo: nixpkgs' hooks write their own .cargo/config.toml, whose "-crt-static" for the same
  # target would be merged with ours in an unspecified order.
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

  # The program is /init in a guest without shared libraries. The environment variable takes precedence
  # over every configuration file. nixpkgs' hooks pass --target, so the flag does not apply to
  # procedural macros, which have to be shared objects.
  env.RUSTFLAGS = "-C target-feature=+crt-static";
  buildInputs = lib.optionals stdenv.hostPlatform.isGnu [ glibc.static ];
  nativeBuildInputs = [ installShellFiles ];

  # The source does not contain the benchmarks and the tests of the whole program (in tests/): they need
  # stores, images and virtual machines, and `make test` runs them. Unit tests do not run because the
  # sandbox forbids what many of them need: extended attributes and set-user-ID bits.
  cargoBuildFlags = [ "--bin=make-disk-image" ];
  doCheck = false;

  # The program itself makes its manual pages and completions, so it has to run here.
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    mkdir man
    $out/bin/make-disk-image man man
    installManPage man/*.1
    for shell in bash fish zsh; do
      $out/bin/make-disk-image completions $shell >completions.$shell
    done
    installShellCompletion --cmd make-disk-image \
      --bash completions.bash --fish completions.fish --zsh completions.zsh
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/make-disk-image --version
    # Compressed later, with the suffix .gz.
    [ -e $out/share/man/man1/make-disk-image.1 ] || [ -e $out/share/man/man1/make-disk-image.1.gz ]
    [ -s $out/share/bash-completion/completions/make-disk-image.bash ]
    if readelf --program-headers --wide $out/bin/make-disk-image | grep INTERP; then
      echo "make-disk-image needs a dynamic loader; it must be linked statically" >&2
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
