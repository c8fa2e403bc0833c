//! What is remembered of all that a guest says.

use std::collections::VecDeque;

/// How many lines of the console an error has, and how many bytes at most.
const LINES: usize = 15;
const BYTES: usize = 8 << 10;

/// What a kernel says before the reason of its end.
const PANIC: &str = "Kernel panic - ";

/// Signs of too little memory.
const MEMORY: [&str; 4] = ["Out of memory", "out of memory", "panic_on_oom", "oom-kill"];

/// The last lines of a console, and signs of what a guest may fail of.
#[derive(Debug, Default)]
pub struct Said {
    tail: VecDeque<String>,
    /// Bytes of the tail.
    length: usize,
    /// Why the kernel panicked, where it did.
    pub panic: Option<String>,
    /// Whether memory was too little.
    pub memory: bool,
    /// Whether a file system was full.
    pub full: bool,
}

impl Said {
    /// Takes note of the next line.
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

    /// The last lines, indented.
    pub fn tail(&self) -> String {
        if self.tail.is_empty() {
            return "its console had nothing".to_owned();
        }
        let mut tail = "its console ended:".to_owned();
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
    fn memory_has_the_end_and_the_signs_only() {
        let mut said = Said::default();
        said.line("x: No space left on device".to_owned());
        said.line("[ 1.0] Kernel panic - not syncing: Out of memory".to_owned());
        for number in 0..2000 {
            said.line(format!("{number} {}", "x".repeat(1000)));
        }
        assert!(said.full && said.memory);
        assert_eq!(said.panic.as_deref(), Some("not syncing: Out of memory"));
        let tail = said.tail();
        assert!(tail.len() < BYTES + 100, "{}", tail.len());
        assert!(tail.contains("\n  1999 x"), "{tail}");
        for number in 0..30 {
            said.line(number.to_string());
        }
        assert_eq!(said.tail().lines().count(), 1 + LINES);
        said.line("y".repeat(3 * BYTES));
        assert_eq!(said.tail().lines().count(), 2);
    }
}
