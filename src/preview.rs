//! What a build would do, without building: `make-disk-image plan`.
//!
//! If every file of the image is on this machine, the disk is planned as in a build, to the byte.
//! Otherwise it is estimated from the sizes of the NARs.

mod closure;
mod derivation;
mod estimate;
mod report;

use std::fs;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;

use self::estimate::Missing;
use crate::code::{Code, WithCode};
use crate::progress::{Length, Log};
use crate::spec::{self, Guest, Spec};
use crate::supervisor::Ledger;
use crate::{escape, guest, plan, stage};

pub use self::report::Report;

/// Plans the image that `input` describes: a `.attrs.json`, or the output of
/// `nix derivation show`. `None` is standard input.
///
/// # Errors
/// If the input cannot be read or describes no image, if Nix does not know the closure, or if a
/// build would fail for a reason that can be found without it.
pub fn run(input: Option<&Path>, ledger: &Ledger, log: &Log) -> Result<Report> {
    if input.is_none() && io::stdin().is_terminal() {
        return Err(Code::PlanInput.error(
            "standard input is a terminal: name the .attrs.json of a build, or pipe the output of \
             nix derivation show to this program",
        ));
    }
    let shown = input.map_or("standard input".to_owned(), escape::path);
    let document = document(input, &shown)?;
    let attributes = derivation::attributes(document)
        .with_context(|| shown.clone())
        .code(Code::PlanInput)?;
    let attributes = match attributes.get("closure") {
        Some(_) => attributes,
        None => closure::add(attributes).code(Code::PlanInput)?,
    };
    let mut spec = spec::parse_value(&attributes).with_context(|| shown)?;
    let missing = Missing::find(&spec);
    let work = ledger.make_work_directory()?;
    let (tree, kind) = match missing.is_empty() {
        true => (stage::tree(&spec, &work, log)?, spec.root.kind.clone()),
        false => {
            let kind = std::mem::replace(&mut spec.root.kind, estimate::KIND);
            (estimate::tree(&spec)?, kind)
        }
    };
    let tree = Arc::new(tree);
    let total = plan::bytes_read(&spec, &tree);
    let (disk, smallest) = log.step_with("planning the disk", Length::Reading(total), || {
        plan::disk_and_smallest(&spec, &tree, &work)
    })?;
    spec.root.kind = kind;
    Ok(Report::new(
        &spec,
        &disk,
        smallest,
        &missing,
        machines(&spec, &work).as_deref(),
    ))
}

fn document(input: Option<&Path>, shown: &str) -> Result<Value> {
    let bytes = match input {
        Some(path) => fs::read(path),
        None => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
    };
    let bytes = bytes.with_context(|| format!("reading {shown}"))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{shown} is not valid JSON"))
        .code(Code::PlanInput)
}

/// Returns the machines that the guest may run on, if there is one, in the order in which this
/// machine would try them.
fn machines(spec: &Spec, work: &Path) -> Option<Vec<guest::Candidate>> {
    let Guest { machine, .. } = spec.guest.as_ref()?;
    Some(guest::candidates(machine, work))
}
