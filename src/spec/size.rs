//! Sizes as `numfmt --from=iec` (GNU coreutils) reads them: `256M`, `1.5G`, `1048576`.

/// 2^20 bytes.
pub(super) const MIB: u64 = 1 << 20;

/// The suffixes, for increasing powers of 1024.
const SUFFIXES: &str = "KMGTPEZY";

/// The number of digits after the point that count. numfmt has no more precision, and a fraction of
/// this length times 2^80 fits into 128 bits.
const MAX_FRACTION: usize = 14;

/// Why a text is not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Syntax that numfmt rejects, too.
    #[error(
        "use a number of bytes, or a number and one of K M G T P E, such as \"256M\" or \"1.5G\""
    )]
    Syntax,
    /// A negative size.
    #[error("a size cannot be negative")]
    Negative,
    /// A fraction without a suffix.
    #[error("a number of bytes cannot have a fraction; add one of K M G T P E")]
    Fraction,
    /// 2^63 bytes or more.
    #[error("it must be less than 8E")]
    TooLarge,
}

/// Returns the number of bytes that `text` stands for, rounded up to a whole byte (numfmt's
/// `--round=from-zero`). Surrounding blanks are ignored.
///
/// # Errors
/// See [`SizeError`].
pub fn parse_iec(text: &str) -> Result<u64, SizeError> {
    let text = text.trim_matches([' ', '\t']);
    if text.starts_with('-') {
        return Err(SizeError::Negative);
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        None => (None, rest),
        Some(rest) => {
            let (fraction, suffix) = rest.split_at(digits(rest));
            if fraction.is_empty() {
                return Err(SizeError::Syntax);
            }
            (Some(fraction), suffix)
        }
    };
    if whole.is_empty() && fraction.is_none() {
        return Err(SizeError::Syntax);
    }
    let mut letters = suffix.chars();
    let shift = match (letters.next(), letters.next()) {
        (None, _) if fraction.is_some() => return Err(SizeError::Fraction),
        (None, _) => 0,
        (Some(letter), None) => {
            let place = SUFFIXES.find(letter).ok_or(SizeError::Syntax)?;
            10 * (place + 1)
        }
        _ => return Err(SizeError::Syntax),
    };
    let bytes = scaled(whole, fraction.unwrap_or(""), shift).ok_or(SizeError::TooLarge)?;
    // numfmt accepts larger sizes, but the shell that computes with its output does not.
    match u64::try_from(bytes) {
        Ok(bytes) if bytes < 1 << 63 => Ok(bytes),
        _ => Err(SizeError::TooLarge),
    }
}

/// Returns `whole.fraction` times 2^`shift`, rounded up, or `None` if it does not fit into 128
/// bits.
fn scaled(whole: &str, fraction: &str, shift: usize) -> Option<u128> {
    let number = |text: &str| {
        text.bytes().try_fold(0u128, |number, digit| {
            number
                .checked_mul(10)?
                .checked_add(u128::from(digit - b'0'))
        })
    };
    let factor = 1u128 << shift;
    let fraction = &fraction[..fraction.len().min(MAX_FRACTION)];
    let divisor = number(&format!("1{}", "0".repeat(fraction.len())))?;
    let part = number(fraction)?.checked_mul(factor)?.div_ceil(divisor);
    number(whole)?.checked_mul(factor)?.checked_add(part)
}

/// Rounds a size to MiB like nixpkgs: one more than the whole MiB in it, even if it has no
/// remainder. "256M" becomes 257.
pub fn mebibytes_as_nixpkgs_rounds(bytes: u64) -> u64 {
    bytes / MIB + 1
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use proptest::strategy::{Strategy as _, ValueTree as _};
    use proptest::test_runner::TestRunner;

    use super::{SizeError, mebibytes_as_nixpkgs_rounds, parse_iec};

    /// Returns numfmt's output for each line. numfmt prints invalid lines unchanged.
    fn numfmt(lines: &[String]) -> Vec<String> {
        let mut child = Command::new("numfmt")
            .args(["--from=iec", "--invalid=ignore"])
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("numfmt of coreutils");
        let mut input = child.stdin.take().unwrap();
        let text = lines.join("\n") + "\n";
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap().stdout;
        writer.join().unwrap();
        let output = String::from_utf8(output).unwrap();
        output.lines().map(str::to_owned).collect()
    }

    /// Compares with numfmt: `parse_iec` must accept exactly the lines for which numfmt prints less
    /// than 2^63 bytes. Returns the number of accepted lines.
    fn compare(lines: &[String]) -> usize {
        let theirs = numfmt(lines);
        assert_eq!(theirs.len(), lines.len());
        let mut accepted = 0;
        for (line, theirs) in lines.iter().zip(&theirs) {
            let theirs: Option<u64> = theirs.trim().parse().ok();
            let theirs = theirs.filter(|bytes| *bytes < 1 << 63 && !line.contains('+'));
            let ours = parse_iec(line).ok();
            match (ours, theirs) {
                // Above 2^48, numfmt's 64 bits of precision make the last byte of a number with a
                // fraction inexact.
                (Some(ours), Some(theirs)) if theirs > 1 << 48 && line.contains('.') => {
                    assert!(ours.abs_diff(theirs) <= 1, "{line:?}: {ours}, {theirs}");
                }
                _ => assert_eq!(ours, theirs, "{line:?}"),
            }
            accepted += usize::from(theirs.is_some());
        }
        accepted
    }

    #[test]
    fn reads_a_table_of_sizes_like_numfmt() {
        let lines = [
            "0",
            "00",
            "1",
            "007",
            "1K",
            "1M",
            "1G",
            "1T",
            "1P",
            "1E",
            "7E",
            "8E",
            "16E",
            "1Z",
            "0Y",
            "0M",
            "999Y",
            "256M",
            "512M",
            "1.5G",
            "0.5K",
            ".5K",
            "1.1K",
            "1.0001K",
            "3.0001M",
            "0.0001K",
            "1.9999999999999999999999K",
            "1.00000000000000000000001K",
            "1.2345678901234567890123M",
            "0000000000000000000000000012",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999999999",
            " 1K",
            "1K ",
            "\t2M",
            "",
            " ",
            "K",
            ".",
            "1.",
            "1.K",
            ".K",
            "1.5",
            "0.0",
            "-1",
            "-1K",
            "+1",
            "1k",
            "1m",
            "1e3",
            "1KB",
            "1Ki",
            "1KiB",
            "1 K",
            "1,5K",
            "0x10",
            "1B",
            "1G1",
            "1KK",
            "M1",
            "1..5K",
            "é",
            "1é",
            "１K",
            "nan",
            "inf",
        ]
        .map(str::to_owned);
        assert_eq!(compare(&lines), 31);
    }

    #[test]
    fn reads_random_sizes_like_numfmt() {
        let mut runner = TestRunner::deterministic();
        let size = proptest::string::string_regex("[0-9]{0,6}(\\.[0-9]{0,6})?[KMGTPEZYki]{0,2}");
        let size = size.unwrap();
        let lines: Vec<String> = (0..5000)
            .map(|_| size.new_tree(&mut runner).unwrap().current())
            .collect();
        let accepted = compare(&lines);
        assert!((500..4500).contains(&accepted), "{accepted} valid sizes");
    }

    #[test]
    fn reports_why_a_size_is_invalid() {
        for (text, error) in [
            ("1KiB", SizeError::Syntax),
            ("", SizeError::Syntax),
            ("-1M", SizeError::Negative),
            ("1.5", SizeError::Fraction),
            ("8E", SizeError::TooLarge),
            ("999999999999999999Y", SizeError::TooLarge),
        ] {
            assert_eq!(parse_iec(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn rounds_boot_sizes_up_even_if_whole() {
        for (text, mebibytes) in [
            ("256M", 257),
            ("32M", 33),
            ("0", 1),
            ("1.5M", 2),
            ("1G", 1025),
        ] {
            let bytes = parse_iec(text).unwrap();
            assert_eq!(mebibytes_as_nixpkgs_rounds(bytes), mebibytes, "{text}");
        }
    }
}
