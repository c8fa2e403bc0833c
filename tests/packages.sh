# What the setup scripts share: how packages are had from the archives of this machine's own apt
# configuration. Sourced by bash; messages begin with the name of the script.

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

release=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
[ "$release" = bookworm ] ||
  fail "this is $(. /etc/os-release && printf %s "${PRETTY_NAME:-not Debian}"); the fixture is made of Debian 12 (bookworm)"

# The packages of a list that are not installed.
missing() {
  comm -23 <(printf '%s\n' "$@" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort)
}

update_lists() {
  apt-get update -q ||
    printf '%s: apt could not get all package lists; it goes on with those it has\n' "${0##*/}" >&2
}

# Gets package lists when there are none, or when they are older than a day. (Every update, even one
# that finds nothing new, empties the directory.)
refresh_lists() {
  local lists
  eval "$(apt-config shell lists Dir::State::Lists/d)"
  if [ -z "$(find "$lists/partial" -maxdepth 0 -mmin -1440 2>/dev/null)" ] || [ -z "$(sources "$release")" ]; then
    update_lists
  fi
}

# Installs those of a list of packages that are missing. apt hears of the whole list, so that what
# would put out one of them for another is seen; and it removes nothing.
install_packages() {
  local absent
  mapfile -t absent < <(missing "$@")
  [ "${#absent[@]}" -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || fail "run as root: these packages are missing: ${absent[*]}"
  refresh_lists
  apt_install "$@" && return
  printf '%s: once more, with package lists of now\n' "${0##*/}" >&2
  update_lists
  apt_install "$@" ||
    fail "apt can't install ${absent[*]}, for the reason above: see to it that apt-get install ${absent[*]} works"
}

apt_install() {
  apt-get install -q -y -o Dpkg::Use-Pty=0 --no-install-recommends --no-remove "$@"
}

# The archives of a release of Debian, as lines of a sources.list. Of this machine's own release they
# are those it has packages of itself, updates and security among them; other releases are where its
# main archive is.
sources() { # sources RELEASE
  local format='$(REPO_URI) $(CODENAME) $(COMPONENT)' known
  known=$(apt-get indextargets --format "$format" 'Created-By: Packages' 'Origin: Debian' |
    { grep -E " $release(-updates|-security)? main$" || true; } | sort -u)
  if [ "$1" != "$release" ]; then
    known=$(sed -n "s/ $release main$/ $1 main/p" <<<"$known" | head -n 1)
  fi
  [ -z "$known" ] || sed 's,^,deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ,' <<<"$known"
}

# Makes `apart` the options with which apt keeps lists and state in a new directory, believes that no
# package is installed, and knows what these releases have for these architectures, the first of which
# is the machine's. What this machine has, holds or prefers is nothing to it.
apt_apart() { # apt_apart DIRECTORY ARCHITECTURE[,ARCHITECTURE...] RELEASE...
  local work=$1 architectures=$2 name
  shift 2
  rm -rf "$work"
  mkdir -p "$work"/{lists,archives}/partial
  : >"$work/status"
  # Without package lists apt doesn't know what the archives have.
  [ -n "$(sources "$release")" ] || apt-get update -q
  for name in "$@"; do sources "$name"; done >"$work/sources.list"
  [ -s "$work/sources.list" ] || fail "apt knows no archive with the component main of $release"
  apart=(
    -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status"
    -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives"
    -o APT::Architecture="${architectures%%,*}" -o APT::Architectures="$architectures"
    -o APT::Default-Release= -o APT::Sandbox::User=root -o Acquire::Languages=none
  )
  apt-get "${apart[@]}" -qq update ||
    fail "these archives have to have $architectures: $(cat "$work/sources.list")"
}
