# The program builds, is linked statically and starts.
{ packages, ... }:

packages.make-disk-image
