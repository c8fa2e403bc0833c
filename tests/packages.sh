# Functions shared by the setup scripts: they get packages from the archives in this machine's apt
# configuration. Sourced by bash; messages start with the name of the script.

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

release=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
[ "$release" = bookworm ] ||
  fail "expected Debian 12 (bookworm), found $(. /etc/os-release && printf %s "${PRETTY_NAME:-another system}")"

# Prints the given packages that are not installed.
missing() {
  comm -23 <(printf '%s\n' "$@" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort)
}

update_lists() {
  apt-get update -q ||
    printf '%s: apt-get update failed; continuing with the package lists that exist\n' "${0##*/}" >&2
}

# Updates the package lists if there are none or if they are older than a day. (Every update empties the
# directory `partial`, even if nothing is new.)
refresh_lists() {
  local lists
  eval "$(apt-config shell lists Dir::State::Lists/d)"
  if [ -z "$(find "$lists/partial" -maxdepth 0 -mmin -1440 2>/dev/null)" ] || [ -z "$(sources "$release")" ]; then
    update_lists
  fi
}

# Installs the given packages that are missing. apt gets the whole list, so that it reports a conflict
# between two of them, and does not remove any package.
install_packages() {
  local absent
  mapfile -t absent < <(missing "$@")
  [ "${#absent[@]}" -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || fail "packages are missing: ${absent[*]}; run as root"
  refresh_lists
  apt_install "$@" && return
  printf '%s: retrying with updated package lists\n' "${0##*/}" >&2
  update_lists
  apt_install "$@" ||
    fail "apt-get cannot install ${absent[*]} (see above); make sure that apt-get install ${absent[*]} works"
}

apt_install() {
  apt-get install -q -y -o Dpkg::Use-Pty=0 --no-install-recommends --no-remove "$@"
}

# Prints the archives of a Debian release as lines of a sources.list. For this machine's release, these
# are the archives in its apt configuration, including updates and security. Other releases are expected
# in the same place as its main archive.
sources() { # sources RELEASE
  local format='$(REPO_URI) $(CODENAME) $(COMPONENT)' known
  known=$(apt-get indextargets --format "$format" 'Created-By: Packages' 'Origin: Debian' |
    { grep -E " $release(-updates|-security)? main$" || true; } | sort -u)
  if [ "$1" != "$release" ]; then
    known=$(sed -n "s/ $release main$/ $1 main/p" <<<"$known" | head -n 1)
  fi
  [ -z "$known" ] || sed 's,^,deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ,' <<<"$known"
}

# Sets `apart` to apt options for a separate instance of apt: it keeps lists and state in a new
# directory, has no installed packages, and knows the packages of the given releases for the given
# architectures, of which the first is the native one. This machine's installed packages, holds and
# preferences do not affect it.
apt_apart() { # apt_apart DIRECTORY ARCHITECTURE[,ARCHITECTURE...] RELEASE...
  local work=$1 architectures=$2 name
  shift 2
  rm -rf "$work"
  mkdir -p "$work"/{lists,archives}/partial
  : >"$work/status"
  # Without package lists, apt does not know the components of the archives.
  [ -n "$(sources "$release")" ] || apt-get update -q
  for name in "$@"; do sources "$name"; done >"$work/sources.list"
  [ -s "$work/sources.list" ] || fail "apt has no archive with the component main of $release (sources.list(5))"
  apart=(
    -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status"
    -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives"
    -o APT::Architecture="${architectures%%,*}" -o APT::Architectures="$architectures"
    -o APT::Default-Release= -o APT::Sandbox::User=root -o Acquire::Languages=none
  )
  apt-get "${apart[@]}" -qq update ||
    fail "cannot get package lists for $architectures from these archives: $(cat "$work/sources.list")"
}
