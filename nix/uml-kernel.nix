# The kernel of a guest that runs as an ordinary process: User-Mode Linux (Documentation/virt/uml in the
# source of the kernel). The executable is bin/linux. It is static, and has no modules.
{
  lib,
  stdenv,
  bc,
  bison,
  flex,
  glibc,
  linux,
  linux_latest,
}:

let
  # The first version that can run the guest's programs without ptrace (seccomp=on).
  leastVersion = "6.16";

  # The default kernel of nixpkgs, which has long-term support, changes less often than the latest one.
  kernel = if lib.versionAtLeast linux.version leastVersion then linux else linux_latest;
in

stdenv.mkDerivation {
  pname = "uml-kernel";
  inherit (kernel) version src;

  options = ./uml-kernel.config;

  enableParallelBuilding = true;

  # The kernel chooses its own options of the compiler; it cannot be position-independent, for example.
  hardeningDisable = [ "all" ];

  nativeBuildInputs = [
    bc
    bison
    flex
  ];

  buildInputs = [ glibc.static ];

  # What the executable says about its build.
  env = {
    KBUILD_BUILD_HOST = "localhost";
    KBUILD_BUILD_TIMESTAMP = "Thu Jan  1 00:00:01 UTC 1970";
    KBUILD_BUILD_USER = "nix";
    KBUILD_BUILD_VERSION = "1";
  };

  postPatch = ''
    patchShebangs scripts
    # The makefiles use a variable of this name.
    unset src
  '';

  configurePhase = ''
    runHook preConfigure
    make ARCH=um KCONFIG_ALLCONFIG="$options" allnoconfig
    wrong=$(
      grep '^CONFIG_' "$options" | grep -vxFf .config || true
      sed -n 's/^# \(CONFIG_.*\) is not set$/^\1=/p' "$options" | grep -f - .config || true
    )
    if [ -n "$wrong" ]; then
      echo "uml-kernel: Linux $version does not have these options of uml-kernel.config, or another option decides them:" >&2
      echo "$wrong" >&2
      exit 1
    fi
    runHook postConfigure
  '';

  makeFlags = [ "ARCH=um" ];
  buildFlags = [ "linux" ];

  installPhase = ''
    runHook preInstall
    mkdir -p "$out/bin"
    strip --strip-all -o "$out/bin/linux" linux
    runHook postInstall
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    "$out/bin/linux" --version
    if readelf --program-headers --wide "$out/bin/linux" | grep INTERP; then
      echo "uml-kernel: bin/linux needs a dynamic loader; it must be linked statically" >&2
      exit 1
    fi
    runHook postInstallCheck
  '';

  meta = {
    description = "Linux kernel as an ordinary process, for the guest of make-disk-image";
    license = lib.licenses.gpl2Only;
    mainProgram = "linux";
    platforms = [ "x86_64-linux" ];
  };
}
