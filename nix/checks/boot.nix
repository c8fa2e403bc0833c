# The example image boots with its own boot loader and prints a line on the serial console.
{ pkgs, packages, ... }:

let
  inherit (packages) image;

  isX86 = pkgs.stdenv.hostPlatform.isx86_64;
  machine = if isX86 then "q35" else "virt";
  qemu = "qemu-system-${pkgs.stdenv.hostPlatform.qemuArch}";
in

pkgs.runCommand "check-boot"
  {
    nativeBuildInputs = [ pkgs.qemu ];
    firmware = pkgs.OVMF.fd.firmware;
    variables = pkgs.OVMF.fd.variables;
  }
  ''
    qemu-img create -q -f qcow2 -F qcow2 -b ${image}/${image.passthru.filePath} disk.qcow2
    install -m 600 $variables variables.fd

    # Without KVM this takes minutes. The example does not power off by itself.
    timeout 1200 ${qemu} \
      -machine ${machine},accel=kvm:tcg -cpu max -m 1024 -nographic -no-reboot \
      -drive if=pflash,unit=0,format=raw,readonly=on,file=$firmware \
      -drive if=pflash,unit=1,format=raw,file=variables.fd \
      -drive if=virtio,format=qcow2,file=disk.qcow2 < /dev/null > console.log &
    machine=$!

    until grep -q "make-disk-image: the example is up" console.log; do
      if ! kill -0 $machine; then
        cat console.log
        echo "the machine stopped before the system was up" >&2
        exit 1
      fi
      sleep 1
    done
    kill $machine
    touch $out
  ''
