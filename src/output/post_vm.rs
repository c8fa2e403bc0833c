//! The caller's `postVM`: shell code that runs after the image is in `$out`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::code::{Code, WithCode};
use crate::spec::Spec;
use crate::{escape, process};

/// Definitions that `postVM` may use besides `$out` and `$diskImage`: the functions and the
/// variable that nixpkgs' script defines in the same shell.
const PRELUDE: &str = r#"set -e
sectorsToKilobytes() { echo $(( $1 * 512 / 1024 )); }
sectorsToBytes() { echo $(( $1 * 512 )); }
mebibyte=$(( 1024 * 1024 ))
"#;

/// Runs `postVM` in the build's working directory, with `disk_image` as `$diskImage`. Its output
/// goes to the log.
///
/// `PATH` is [`crate::spec::Tools::path`]. `work` holds the script, and is `$TMPDIR` and `$HOME`.
///
/// # Errors
/// If it fails: its status and the end of its output.
pub fn run(spec: &Spec, disk_image: &Path, work: &Path) -> Result<()> {
    let script = work.join("postVM.sh");
    let text = format!("{PRELUDE}\n{}\n:\n", spec.output.post_vm);
    File::create_new(&script)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {}", escape::path(&script)))?;
    let path = std::env::join_paths(&spec.tools.path).context("composing PATH for postVM")?;
    let mut command = Command::new(&spec.tools.bash);
    command
        .arg(&script)
        .envs(&spec.tools.environment)
        .env("PATH", path)
        .env("HOME", work)
        .env("TMPDIR", work)
        .env("out", &spec.out)
        .env("diskImage", disk_image);
    if let Some(variables) = &spec.output.efi_variables {
        command.env("efiVariables", variables);
        command.env("efiVars", spec.out.join("efi-vars.fd"));
    }
    process::logged(&mut command)
        .context("postVM failed")
        .code(Code::PostVm)
}
