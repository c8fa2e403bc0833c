//! The table of changed attributes, `table.txt`, with the complete message for each.

use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::job;
use crate::common::program::Job;
use crate::common::read_from_repository;

/// Lines `/pointer = value`, or `/pointer` alone to remove the attribute, then the message,
/// indented by two spaces. `@source@` stands for the directory of sources, `@system@` for the
/// toplevel; [`varying`] has the other placeholders. Lines that begin with `#` are comments.
fn cases(text: &str) -> Vec<(Vec<&str>, String)> {
    let mut cases = Vec::new();
    for paragraph in text.split("\n\n") {
        let lines = paragraph.lines().filter(|line| !line.starts_with('#'));
        let (message, changes): (Vec<&str>, Vec<&str>) =
            lines.partition(|line| line.starts_with("  "));
        if changes.is_empty() {
            continue;
        }
        let message: Vec<_> = message.iter().map(|line| &line[2..]).collect();
        cases.push((changes, message.join("\n")));
    }
    cases
}

fn change(job: &mut Job, line: &str, system: &str) {
    let source = job.place().join("source").display().to_string();
    let filled = line
        .replace("@source@", &source)
        .replace("@system@", system);
    let (pointer, value) = match filled.split_once(" = ") {
        Some((pointer, value)) => {
            let value =
                serde_json::from_str(value).unwrap_or_else(|error| panic!("{line}: {error}"));
            (pointer, Some(value))
        }
        None => (filled.as_str(), None),
    };
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = job
        .json
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{line}: there is no {parent}"));
    match (parent, value) {
        (Value::Object(map), Some(value)) => _ = map.insert(key.to_owned(), value),
        (Value::Object(map), None) => {
            _ = map
                .remove(key)
                .unwrap_or_else(|| panic!("{line}: there is no such attribute"))
        }
        (Value::Array(list), Some(value)) if key == "-" => list.push(value),
        (Value::Array(list), Some(value)) => list[key.parse::<usize>().unwrap()] = value,
        (Value::Array(list), None) => _ = list.remove(key.parse().unwrap()),
        _ => panic!("{line}: {pointer} has no parent"),
    }
}

/// What differs between runs, or between versions of the fixture's packages.
fn varying() -> [(Regex, &'static str); 4] {
    [
        ("make-disk-image-[A-Za-z0-9]{6}/", "@work@/"),
        ("/nix/store/[a-z0-9]{32}-[^/]*/bin/", "@bin@/"),
        (r"closure\[[0-9]+\]", "closure[@last@]"),
        ("closure of [0-9]+ paths", "closure of @all@ paths"),
    ]
    .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
}

#[test]
fn every_bad_input_gets_its_message_and_nothing_is_left() {
    let path = Path::new("tests/program/hostile/table.txt");
    let text = read_from_repository(path);
    let cases = cases(&text);
    assert!(cases.len() >= 40, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (changes, expected) in cases {
        let mut job = job();
        let system = job.json["image"]["toplevel"].as_str().unwrap().to_owned();
        for line in &changes {
            change(&mut job, line, &system);
        }
        let place = job.place().display().to_string();
        let out = job.out.display().to_string();
        let ended = job.run();
        let error = if ended.output.status.success() {
            "(success)".to_owned()
        } else {
            let (code, error) = ended.error_with_code();
            assert_ne!(code, "internal", "{error}");
            error
        };
        let error = error
            .replace(&format!("{place}/source"), "@source@")
            .replace(&format!("{place}/build"), "@build@")
            .replace(&out, "@out@")
            .replace(&system, "@system@");
        let error = varying().iter().fold(error, |error, (pattern, name)| {
            pattern.replace_all(&error, *name).into_owned()
        });
        if error != expected {
            let error: Vec<_> = error.lines().map(|line| format!("  {line}\n")).collect();
            wrong.push(format!("{}\n{}", changes.join("\n"), error.concat()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ from {}:\n\n{}",
        wrong.len(),
        path.display(),
        wrong.join("\n")
    );
}
