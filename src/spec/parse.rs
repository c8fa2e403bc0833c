//! From JSON to a [`Spec`].

use serde_json::Value;

use super::attributes::Attributes;
use super::closure::{self, Closure};
use super::problems::Problems;
use super::{Installation, Owner, Spec, System};
use super::{contents, disk, guest, identity, output, overrides, tools};

/// Checks the contents of an `.attrs.json`, as nix/make-disk-image.nix and Nix make it. Attributes
/// that we don't know are no problem: stdenv adds many.
///
/// With `deterministic = false` the UUIDs are drawn here, and the time is now.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn parse(json: &[u8]) -> Result<Spec, Problems> {
    let mut problems = Problems::default();
    let value: Value = match serde_json::from_slice(json) {
        Ok(value) => value,
        Err(error) => {
            let message = format!("is not JSON as Nix writes it: {error}");
            problems.add(".attrs.json", message);
            return Err(problems);
        }
    };
    let spec = Attributes::new(String::new(), &value, &mut problems)
        .and_then(|top| spec(&top, &mut problems));
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems),
    }
}

fn spec(top: &Attributes<'_>, problems: &mut Problems) -> Option<Spec> {
    let image = top.object("image", problems)?;
    // A wrong one is noted; with the usual one the rest can still be checked.
    let store_dir = store_dir(&image, problems).unwrap_or("/nix/store");
    let outputs = top.object("outputs", problems);
    let out = outputs.and_then(|outputs| outputs.store_path("out", store_dir, problems));
    let only_nix_store = image.boolean("onlyNixStore", problems);

    let table = disk::table(&image, problems);
    let boot_end = disk::boot_end(&image, table, problems);
    let size = disk::disk_size(&image, problems);
    let root = disk::root(&image, table, problems);
    let output = output::output(top, &image, table, problems);
    let identity = identity::identity(&image, table, problems);
    let closure = closure::closure(top, store_dir, problems);
    let system = system(
        &image,
        only_nix_store,
        store_dir,
        closure.as_ref(),
        problems,
    );
    let tools = tools::tools(top, only_nix_store == Some(false), problems);
    let needed = needs_guest(&image, system.as_ref());
    let guest = guest::guest(top, &image, needed, problems);
    overrides::refuse(top, &image, problems);
    Some(Spec {
        out: out?.as_str().into(),
        output: output?,
        table: table?,
        boot_end: boot_end?,
        size: size?,
        root: root?,
        identity: identity?,
        system: system?,
        store_dir: store_dir.into(),
        closure: closure?.paths?,
        tools: tools?,
        guest: guest?,
    })
}

fn store_dir<'a>(image: &Attributes<'a>, problems: &mut Problems) -> Option<&'a str> {
    let dir = image.text("storeDir", problems)?;
    let plain = dir.strip_prefix('/').is_some_and(|names| {
        names
            .split('/')
            .all(|name| !matches!(name, "" | "." | ".."))
    });
    if !plain {
        let message = "must be an absolute path without a trailing slash, \".\" or \"..\", \
                       as in \"/nix/store\"";
        problems.add(image.at("storeDir"), message);
        return None;
    }
    Some(dir)
}

/// What needs a guest; empty if nothing does, `None` if that can't be told.
fn needs_guest(image: &Attributes<'_>, system: Option<&System>) -> Option<&'static str> {
    let System::Installed(installation) = system? else {
        return Some("");
    };
    if image.optional("installBootLoader") == Some(&Value::Bool(true)) {
        return Some("installBootLoader = true");
    }
    let named = |graft: &super::Graft| matches!(graft.owner, Some(Owner::Names(_)));
    match installation.contents.iter().any(named) {
        true => Some("an owner in contents that is a name"),
        false => Some(""),
    }
}

fn system(
    image: &Attributes<'_>,
    only_nix_store: Option<bool>,
    store_dir: &str,
    closure: Option<&Closure>,
    problems: &mut Problems,
) -> Option<System> {
    let contents = contents::contents(image, problems);
    let config_file = image.optional_path("configFile", problems);
    let boot_loader = image.boolean("installBootLoader", problems);
    if only_nix_store? {
        let given = [
            ("contents", contents.is_some_and(|list| !list.is_empty())),
            ("configFile", config_file.is_some()),
            ("installBootLoader", boot_loader == Some(true)),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let message = "can't be used with onlyNixStore = true: in a Nix store image, contents \
                           must be empty, configFile null and installBootLoader false";
            problems.add(image.at(key), message);
        }
        return Some(System::StoreOnly);
    }
    let mut member = |key: &str| {
        let path = image.store_path(key, store_dir, problems)?;
        if let Some(closure) = closure {
            closure.require(&image.at(key), &path, problems);
        }
        Some(path)
    };
    let toplevel = member("toplevel");
    let channel = image.optional("channel").and_then(|_| member("channel"));
    Some(System::Installed(Installation {
        toplevel: toplevel?,
        channel,
        contents: contents?,
        config_file,
    }))
}
