//! What is remembered of a guest's console output.

use std::collections::VecDeque;

/// How many console lines an error shows, and the most bytes.
const LINES: usize = 15;
const BYTES: usize = 8 << 10;

/// What a kernel prints before the reason of a panic.
const PANIC: &str = "Kernel panic - ";

/// What programs and kernels print if memory runs out.
const MEMORY: [&str; 4] = ["Out of memory", "out of memory", "panic_on_oom", "oom-kill"];

/// The last lines of a console, and signs of common reasons for a failure.
#[derive(Debug, Default)]
pub struct History {
    tail: VecDeque<String>,
    /// Total length of the lines in `tail`, in bytes.
    length: usize,
    /// The reason of a kernel panic, if there was one.
    pub panic: Option<String>,
    /// Whether memory ran out.
    pub memory: bool,
    /// Whether a file system was full.
    pub full: bool,
}

impl History {
    /// Adds the next line.
    pub fn line(&mut self, text: String) {
        if self.panic.is_none() {
            self.panic = text.split_once(PANIC).map(|(_, reason)| reason.to_owned());
        }
        self.memory |= MEMORY.iter().any(|sign| text.contains(sign));
        self.full |= text.contains("No space left on device");
        self.length += text.len();
        self.tail.push_back(text);
        while self.tail.len() > LINES || (self.length > BYTES && self.tail.len() > 1) {
            let first = self.tail.pop_front().unwrap_or_default();
            self.length -= first.len();
        }
    }

    /// Returns whether there was no output.
    pub fn is_empty(&self) -> bool {
        self.tail.is_empty()
    }

    /// Returns the last lines, indented, with a heading.
    pub fn tail(&self) -> String {
        if self.tail.is_empty() {
            return "no console output".to_owned();
        }
        let mut tail = "last console output:".to_owned();
        for line in &self.tail {
            tail.push_str("\n  ");
            tail.push_str(line);
        }
        tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_and_the_reasons_of_a_failure() {
        let mut history = History::default();
        history.line("x: No space left on device".to_owned());
        history.line("[ 1.0] Kernel panic - not syncing: Out of memory".to_owned());
        for number in 0..2000 {
            history.line(format!("{number} {}", "x".repeat(1000)));
        }
        assert!(history.full && history.memory);
        assert_eq!(history.panic.as_deref(), Some("not syncing: Out of memory"));
        let tail = history.tail();
        assert!(tail.len() < BYTES + 100, "{}", tail.len());
        assert!(tail.contains("\n  1999 x"), "{tail}");
        for number in 0..30 {
            history.line(number.to_string());
        }
        assert_eq!(history.tail().lines().count(), 1 + LINES);
        history.line("y".repeat(3 * BYTES));
        assert_eq!(history.tail().lines().count(), 2);
    }
}
