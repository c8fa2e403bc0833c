//! The code of an error.

use std::io::{self, ErrorKind};

use anyhow::Error;
use nix::errno::Errno;

use crate::code::Code;
use crate::fs::PlanError;
use crate::fs::fat::FatError;
use crate::layout;
use crate::spec::Problems;

/// Returns the code of `error`: by the cause if a resource is used up, otherwise the one that was
/// added to it, or that of the first cause whose type has one.
pub fn code(error: &Error) -> Code {
    let added = Code::added_to(error);
    let causes = || error.chain();
    causes()
        .find_map(used_up)
        .or(added.filter(|code| !code.is_general()))
        .or_else(|| causes().find_map(by_type))
        .or(added)
        .or_else(|| causes().find_map(of_system))
        .unwrap_or(Code::Internal)
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// Returns the code if a file system is full or a limit is reached.
fn used_up(cause: Cause<'_>) -> Option<Code> {
    let kind = match cause.downcast_ref::<Errno>() {
        Some(errno) => io::Error::from(*errno).kind(),
        None => cause.downcast_ref::<io::Error>()?.kind(),
    };
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Code::NoSpace),
        ErrorKind::FileTooLarge => Some(Code::SizeLimit),
        _ => None,
    }
}

fn by_type(cause: Cause<'_>) -> Option<Code> {
    if let Some(problems) = cause.downcast_ref::<Problems>() {
        return Some(problems.code());
    }
    if let Some(error) = cause.downcast_ref::<layout::Error>() {
        return Some(match error {
            layout::Error::BootSize { .. } => Code::BootSize,
            layout::Error::NoRoom { .. }
            | layout::Error::MbrTooLarge { .. }
            | layout::Error::NotWholeMebibytes { .. }
            | layout::Error::TooLarge(_) => Code::DiskSize,
            layout::Error::UnpartitionedBootCode { .. } => Code::BootCode,
            layout::Error::Table(_) => Code::Internal,
        });
    }
    if let Some(error) = cause.downcast_ref::<PlanError>() {
        return match error {
            PlanError::TooSmall { .. } => Some(Code::DiskSize),
            PlanError::Unrepresentable(_) => Some(Code::FileSystem),
            // It is one of the causes.
            PlanError::Failed(_) => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<FatError>() {
        return match error {
            FatError::TooSmall { .. } | FatError::RootFull { .. } => Some(Code::BootSize),
            FatError::Unrepresentable(_) => Some(Code::FileSystem),
            _ => None,
        };
    }
    None
}

fn of_system(cause: Cause<'_>) -> Option<Code> {
    let is_of_system = cause.is::<io::Error>() || cause.is::<Errno>();
    is_of_system.then_some(Code::File)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::code::WithCode as _;

    #[test]
    fn a_code_follows_from_the_cause() {
        let os = |errno: Errno| Error::from(io::Error::from(errno)).context("writing /x");
        let too_small = || layout::Error::TooLarge(1);
        for (error, expected) in [
            (os(Errno::ENOSPC), Code::NoSpace),
            (Error::from(Errno::EDQUOT), Code::NoSpace),
            (os(Errno::EFBIG), Code::SizeLimit),
            (os(Errno::EACCES), Code::File),
            (Error::from(Errno::EACCES), Code::File),
            (Error::from(too_small()), Code::DiskSize),
            (Error::from(too_small()).context("planning"), Code::DiskSize),
            (Error::msg("surprise"), Code::Internal),
            // A full file system explains everything else.
            (
                Code::Install.of(os(Errno::ENOSPC).context("installing")),
                Code::NoSpace,
            ),
            (Code::Install.of(os(Errno::EACCES)), Code::Install),
        ] {
            assert_eq!(code(&error), expected, "{error:#}");
        }
        let typed: Result<(), _> = Err(too_small());
        let error = typed.context("planning").code(Code::Write).unwrap_err();
        assert_eq!(code(&error), Code::DiskSize);
    }
}
