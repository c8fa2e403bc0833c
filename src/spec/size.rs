//! Sizes as `numfmt --from=iec` (GNU coreutils) reads them: `256M`, `1.5G`, `1048576`.

/// 2^20 bytes.
pub(super) const MIB: u64 = 1 << 20;

/// What one letter stands for, as a power of 1024 in the order of the letters.
const SUFFIXES: &str = "KMGTPEZY";

/// Digits after the point beyond these are dropped: numfmt has no more precision either, and so many
/// times 2^80 fit into 128 bits.
const MAX_FRACTION: usize = 14;

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Something that numfmt doesn't take either.
    #[error(
        "write a number of bytes, or a number and one of K M G T P E, as in \"256M\" or \"1.5G\""
    )]
    Syntax,
    /// Below zero.
    #[error("a size can't be negative")]
    Negative,
    /// A point without a suffix.
    #[error("a part of a byte makes no sense; add one of K M G T P E")]
    Fraction,
    /// 2^63 bytes or more.
    #[error("it must be less than 8E")]
    TooLarge,
}

/// The number of bytes that `text` means; parts of a byte count as one (numfmt's
/// `--round=from-zero`). Blanks around it don't matter.
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
    // numfmt goes a little further; the shell that calculates with its answer does not.
    match u64::try_from(bytes) {
        Ok(bytes) if bytes < 1 << 63 => Ok(bytes),
        _ => Err(SizeError::TooLarge),
    }
}

/// `whole.fraction` times 2^`shift`, rounded up; `None` where 128 bits are too few.
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

/// How many MiB nixpkgs makes of a size: one more than fit into it, even where nothing is left
/// over. "256M" is 257.
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

    /// What numfmt makes of each line. A line it refuses comes back as it is.
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

    /// Compares with numfmt: what it takes as whole bytes below 2^63 we take, and nothing else.
    /// Says how many were taken.
    fn compare(lines: &[String]) -> usize {
        let theirs = numfmt(lines);
        assert_eq!(theirs.len(), lines.len());
        let mut taken = 0;
        for (line, theirs) in lines.iter().zip(&theirs) {
            let theirs: Option<u64> = theirs.trim().parse().ok();
            let theirs = theirs.filter(|bytes| *bytes < 1 << 63 && !line.contains('+'));
            let ours = parse_iec(line).ok();
            match (ours, theirs) {
                // Above 2^48, numfmt's 64 bits of precision leave it unsure of the last byte of a
                // number with a fraction.
                (Some(ours), Some(theirs)) if theirs > 1 << 48 && line.contains('.') => {
                    assert!(ours.abs_diff(theirs) <= 1, "{line:?}: {ours}, {theirs}");
                }
                _ => assert_eq!(ours, theirs, "{line:?}"),
            }
            taken += usize::from(theirs.is_some());
        }
        taken
    }

    #[test]
    fn table_of_sizes_is_as_numfmt_has_it() {
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
    fn sizes_nobody_thought_of_are_as_numfmt_has_them() {
        let mut runner = TestRunner::deterministic();
        let size = proptest::string::string_regex("[0-9]{0,6}(\\.[0-9]{0,6})?[KMGTPEZYki]{0,2}");
        let size = size.unwrap();
        let lines: Vec<String> = (0..5000)
            .map(|_| size.new_tree(&mut runner).unwrap().current())
            .collect();
        let taken = compare(&lines);
        assert!((500..4500).contains(&taken), "a poor mixture: {taken}");
    }

    #[test]
    fn what_is_wrong_is_said() {
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
    fn a_boot_size_always_grows() {
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
