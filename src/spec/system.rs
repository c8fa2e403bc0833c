//! The contents of the root file system, and whether they require a guest.

use serde_json::Value;

use super::attributes::{Attributes, list, path, store_path};
use super::closure::Closure;
use super::contents::contents;
use super::problems::{Problems, Read};
use super::{Installation, System};

/// Reads the system. Also returns what requires a guest, if anything does.
pub(super) fn system(
    image: &Attributes<'_>,
    only_nix_store: Read<bool>,
    boot_loader: Read<bool>,
    store_dir: Read<&str>,
    closure: &Closure,
    problems: &mut Problems,
) -> (Read<System>, Read<Option<&'static str>>) {
    if only_nix_store == Ok(true) {
        reject_installed(image, boot_loader, problems);
        return (Ok(System::StoreOnly), Ok(None));
    }
    // A store image must not have these, so a wrong one is a problem in any case.
    let contents = contents(image, problems);
    let config_file = image.optional("configFile", path, problems);
    let (toplevel, channel) = match only_nix_store {
        Ok(_) => {
            let member = |at: &str, value: &Value, problems: &mut Problems| {
                let path = store_path(store_dir)(at, value, problems)?;
                closure.require(at, path, problems)
            };
            let toplevel = image.required("toplevel", member, problems);
            (toplevel, image.optional("channel", member, problems))
        }
        // A store image does not use these.
        Err(noted) => (Err(noted), Err(noted)),
    };
    let needs_guest = only_nix_store.and_then(|_| needs_guest(boot_loader, contents.names_owners));
    let installation = || {
        Ok(System::Installed(Installation {
            toplevel: toplevel?,
            channel: channel?,
            contents: contents.grafts?,
            config_file: config_file?,
        }))
    };
    (installation(), needs_guest)
}

/// Reports attributes that would install more than store paths.
fn reject_installed(image: &Attributes<'_>, boot_loader: Read<bool>, problems: &mut Problems) {
    let contents = image.required("contents", list, problems);
    let given = [
        ("contents", contents.is_ok_and(|list| !list.is_empty())),
        ("configFile", image.has("configFile")),
        ("installBootLoader", boot_loader == Ok(true)),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| *given) {
        let message = "cannot be used with onlyNixStore = true; set contents = [ ], configFile = null \
                       and installBootLoader = false";
        problems.add(image.at(key), message);
    }
}

/// Returns what requires a guest in an installed system, if anything does.
fn needs_guest(boot_loader: Read<bool>, names_owners: Read<bool>) -> Read<Option<&'static str>> {
    match (boot_loader, names_owners) {
        (Ok(true), _) => Ok(Some("installBootLoader = true")),
        (_, Ok(true)) => Ok(Some("an owner in contents that is a name")),
        (Ok(false), Ok(false)) => Ok(None),
        (Err(noted), _) | (_, Err(noted)) => Err(noted),
    }
}
