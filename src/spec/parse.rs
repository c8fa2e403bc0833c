//! Parsing JSON into a [`Spec`].

use serde_json::Value;

use super::Spec;
use super::attributes::{Attributes, boolean, store_path, text};
use super::problems::{Problems, Read};
use super::{closure, disk, file_system, guest, identity, output, overrides, system, tools};

/// Parses the contents of an `.attrs.json` that nix/make-disk-image.nix and Nix produce. Unknown
/// attributes are ignored: stdenv adds many.
///
/// With `deterministic = false`, this generates random UUIDs and reads the clock.
///
/// # Errors
/// All problems with the attributes.
pub fn parse(json: &[u8]) -> Result<Spec, Problems> {
    match serde_json::from_slice(json) {
        Ok(value) => parse_value(&value),
        Err(error) => {
            let mut problems = Problems::default();
            problems.add(".attrs.json", format!("is not valid JSON: {error}"));
            Err(problems)
        }
    }
}

/// Like [`parse`], for JSON that is already deserialized.
///
/// # Errors
/// As for [`parse`].
pub(crate) fn parse_value(attributes: &Value) -> Result<Spec, Problems> {
    let mut problems = Problems::default();
    let top = Attributes::new(String::new(), attributes, &mut problems);
    match spec(&top, &mut problems) {
        Ok(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems),
    }
}

/// Attributes that decide which others are read are read here; the others are read where they are
/// needed. If such an attribute is wrong, those that depend on it are not read, because they may be
/// unused.
fn spec(top: &Attributes<'_>, problems: &mut Problems) -> Read<Spec> {
    let image = top.object("image", problems);
    let store_dir = image.required("storeDir", store_dir, problems);
    let outputs = top.object("outputs", problems);
    let out = outputs.required("out", store_path(store_dir), problems);
    let only_nix_store = image.required("onlyNixStore", boolean, problems);
    let boot_loader = image.required("installBootLoader", boolean, problems);
    let touch_efi_variables = image.required("touchEFIVars", boolean, problems);
    let table = disk::table(&image, problems);
    let format = output::format(&image, problems);

    let boot_end = disk::boot_end(&image, table, problems);
    let size = disk::disk_size(&image, problems);
    let kind = file_system::kind(&image, problems);
    let root = file_system::root(&image, &kind, problems);
    let output = output::output(
        top,
        &image,
        format.clone(),
        table,
        touch_efi_variables,
        problems,
    );
    let identity = identity::identity(&image, table, &kind, problems);
    let closure = closure::closure(top, store_dir, problems);
    let (system, needs_guest) = system::system(
        &image,
        only_nix_store,
        boot_loader,
        store_dir,
        &closure,
        problems,
    );
    let tools = tools::tools(top, only_nix_store, &format, &kind, problems);
    let guest = guest::guest(
        top,
        needs_guest,
        boot_loader,
        touch_efi_variables,
        &output,
        &system,
        problems,
    );
    let bootable = guest::check_boot_loader(&guest, table, &kind, problems);
    overrides::reject(top, &image, problems);
    bootable?;
    Ok(Spec {
        out: out?.as_str().into(),
        output: output?,
        table: table?,
        boot_end: boot_end?,
        size: size?,
        root: root?,
        identity: identity?,
        system: system?,
        store_dir: store_dir?.into(),
        closure: closure.paths?,
        tools: tools?,
        guest: guest?,
    })
}

fn store_dir<'a>(at: &str, value: &'a Value, problems: &mut Problems) -> Read<&'a str> {
    let dir = text(at, value, problems)?;
    let plain = dir.strip_prefix('/').is_some_and(|names| {
        names
            .split('/')
            .all(|name| !matches!(name, "" | "." | ".."))
    });
    if !plain {
        let message = "must be an absolute path without a trailing slash, \".\" or \"..\", \
                       such as \"/nix/store\"";
        return Err(problems.add(at, message));
    }
    Ok(dir)
}
