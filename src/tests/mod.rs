//! Checks that the modules of this crate depend on each other in one direction only.

mod source;
mod uses;

use std::collections::{BTreeMap, BTreeSet};

use self::source::{Module, Path};
use self::uses::Use;

/// A module that uses another one. Both are children of the same module.
struct Dependency {
    user: Path,
    used: Path,
    /// File and line.
    place: String,
}

/// Returns the dependency of `module` that names something in the module `target`: between the two
/// siblings at which their paths diverge. `None` if one contains the other.
fn dependency(module: &Module, target: &Path, used: &Use) -> Option<Dependency> {
    let pairs = module.path.iter().zip(target);
    let common = pairs.take_while(|(a, b)| a == b).count();
    Some(Dependency {
        user: module.path.get(..=common)?.to_vec(),
        used: target.get(..=common)?.to_vec(),
        place: format!("{}:{}", module.file, used.line),
    })
}

fn dependencies() -> Vec<Dependency> {
    let modules = source::modules();
    let uses: BTreeMap<Path, Vec<Use>> = modules
        .iter()
        .map(|module| (module.path.clone(), uses::uses(module, &modules)))
        .collect();
    let mut found = Vec::new();
    for module in &modules {
        for used in &uses[&module.path] {
            // The named module and, for a re-export, the module that it comes from.
            let named = source::longest(&modules, &used.path);
            let origin = source::longest(&modules, &uses::origin(&used.path, &uses, &modules));
            let targets = BTreeSet::from([named, origin]);
            found.extend(targets.iter().filter_map(|it| dependency(module, it, used)));
        }
    }
    assert!(found.len() > 500, "only {} dependencies found", found.len());
    found
}

fn lines(dependencies: &[Dependency]) -> String {
    let line = |it: &Dependency| {
        let (user, used) = (it.user.join("::"), it.used.join("::"));
        format!("{}: {user} uses {used}\n", it.place)
    };
    dependencies.iter().map(line).collect()
}

#[test]
fn no_module_uses_a_later_one() {
    let order = source::order();
    // The program is not in the list. It comes after the library.
    let position = |path: &Path| order.iter().position(|name| *name == path[0]);
    let is_wrong = |it: &Dependency| match (position(&it.user), position(&it.used)) {
        (Some(user), Some(used)) => user < used,
        (user, used) => user.is_some() && used.is_none(),
    };
    let mut wrong = dependencies();
    wrong.retain(|it| it.user.len() == 1 && is_wrong(it));
    assert!(
        wrong.is_empty(),
        "src/lib.rs lists modules in the order of the data flow, but these use a later one:\n{}",
        lines(&wrong)
    );
}

#[test]
fn the_documentation_lists_modules_in_the_same_order() {
    let order = [source::order(), vec!["main".to_owned()]].concat();
    assert_eq!(source::documented(), order);
}

#[test]
fn sibling_modules_have_no_dependency_cycles() {
    let mut left = dependencies();
    loop {
        let before = left.len();
        let users: BTreeSet<Path> = left.iter().map(|it| it.user.clone()).collect();
        let used: BTreeSet<Path> = left.iter().map(|it| it.used.clone()).collect();
        // A module that uses none of the others, or is used by none, is not part of a cycle.
        left.retain(|it| users.contains(&it.used) && used.contains(&it.user));
        if left.len() == before {
            break;
        }
    }
    assert!(
        left.is_empty(),
        "these modules are in a cycle or between two cycles:\n{}",
        lines(&left)
    );
}
